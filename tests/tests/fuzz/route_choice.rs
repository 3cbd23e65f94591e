//! Which route a path takes: the most specific one, the same that a look at each template would find.

use std::panic::AssertUnwindSafe;

use bolero::{TypeGenerator, produce};
use policy::routes::{Method, RouteMatch, RouteTable, is_normal_path};

use crate::input::bounded;

const LITERALS: [&str; 4] = ["a", "b", "users", "a.b"];

/// A segment of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TypeGenerator)]
enum Segment {
    Literal(u8),
    Any,
}

/// A template, and which of GET and POST it serves.
#[derive(Debug, Clone, TypeGenerator)]
struct Row {
    segments: Vec<Segment>,
    rest: bool,
    get: bool,
    post: bool,
}

fn literal(number: u8) -> &'static str {
    LITERALS[usize::from(number) % LITERALS.len()]
}

impl Row {
    /// As it stands in the file. Placeholders at one depth have one name, as the table demands.
    fn template(&self) -> String {
        let mut text = String::new();
        for (depth, segment) in self.segments.iter().take(self.segments.len() % 4).enumerate() {
            text.push('/');
            match segment {
                Segment::Literal(number) => text.push_str(literal(*number)),
                Segment::Any => text.push_str(&format!("{{p{depth}}}")),
            }
        }
        if self.rest {
            text.push_str("/{*rest}");
        }
        if text.is_empty() { "/".to_owned() } else { text }
    }

    fn methods(&self) -> Vec<&'static str> {
        let served = [(self.get, "GET"), (self.post, "POST")];
        let served: Vec<_> =
            served.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        if served.is_empty() { vec!["PUT"] } else { served }
    }
}

/// How specific a match is; the smallest is the most specific. `None`: no match.
fn rank(template: &str, path: &str) -> Option<Vec<u8>> {
    if template == "/" || path == "/" {
        return (template == path).then(Vec::new);
    }
    let mut rank = vec![u8::from(template.contains("{*"))];
    let mut given = path[1..].split('/');
    for wanted in template[1..].split('/') {
        let segment = given.next().filter(|segment| !segment.is_empty())?;
        match wanted {
            "{*rest}" => return Some([rank, vec![2]].concat()),
            _ if wanted.starts_with('{') => rank.push(1),
            _ if wanted == segment => rank.push(0),
            _ => return None,
        }
    }
    given.next().is_none().then_some(rank)
}

#[test]
fn fuzz() {
    let rows = produce::<Vec<Row>>().with().len(1_usize..8);
    let paths = produce::<Vec<(Vec<u8>, bool)>>().with().len(1_usize..6);
    bounded(bolero::check!().with_generator((rows, paths)), 10_000).for_each(|(rows, paths)| {
        let mut text = "upstreams.api = { peers = [\"a:1\"] }\nroutes = [\n".to_owned();
        for row in rows {
            text.push_str(&format!(
                "{{ methods = {:?}, path = \"{}\", upstream = \"api\", auth = \"public\" }},\n",
                row.methods(),
                row.template()
            ));
        }
        text.push(']');
        // Rows that serve the same twice are refused, and rightly.
        let Ok(table) = RouteTable::parse("routes.toml", &text) else { return };
        for (segments, slash) in paths {
            let words = segments
                .iter()
                .take(segments.len() % 6)
                .map(|byte| if *byte < 200 { literal(*byte) } else { "zz" });
            let path = format!(
                "/{}{}",
                words.collect::<Vec<_>>().join("/"),
                if *slash { "/" } else { "" }
            );
            // The edge asks for normal paths only; what is found for others is nobody's.
            if !is_normal_path(&path) {
                continue;
            }
            let best = rows
                .iter()
                .filter_map(|row| Some((rank(&row.template(), &path)?, row.template())))
                .min()
                .map(|(_, template)| template);
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "get", "TRACE", ""] {
                let served = if method == "HEAD" { "GET" } else { method };
                let expected = best.as_ref().filter(|best| {
                    rows.iter()
                        .any(|row| row.template() == **best && row.methods().contains(&served))
                });
                match table.find(method, &path) {
                    RouteMatch::Found { route, .. } => {
                        assert_eq!(Some(&route.template), expected, "{method} {path:?} in\n{text}");
                    }
                    RouteMatch::OtherMethods(others) => {
                        assert!(
                            best.is_some() && expected.is_none(),
                            "{method} {path:?} in\n{text}"
                        );
                        assert!(
                            !others.is_empty()
                                && Method::of(method).is_none_or(|m| !others.contains(&m))
                        );
                    }
                    RouteMatch::Nothing => assert_eq!(best, None, "{method} {path:?} in\n{text}"),
                }
            }
        }
    });
}

/// Any text as a path, on the product's own table.
#[test]
fn fuzz_any_path() {
    let file =
        std::fs::read_to_string(harness::root().join("config/routes.toml")).expect("routes.toml");
    // Nothing is kept in it that a panic could leave half done.
    let table =
        AssertUnwindSafe(RouteTable::parse("routes.toml", &file).expect("the product's own table"));
    bounded(bolero::check!().with_type::<(String, String)>(), 20_000).for_each(|(method, path)| {
        let _ = table.find(method, path);
        let _ = table.find("GET", &format!("/api/v1/tenants/{path}"));
    });
}
