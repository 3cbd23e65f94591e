use proptest::prelude::*;

use super::*;

const UPSTREAM: &str = "upstreams.api = { peers = [\"127.0.0.1:1\"] }\n";

fn table(routes: &str) -> RouteTable {
    RouteTable::parse("routes.toml", &format!("{UPSTREAM}routes = [\n{routes}\n]")).unwrap()
}

fn faults(routes: &str) -> Vec<String> {
    let text = format!("{UPSTREAM}routes = [\n{routes}\n]");
    let error = RouteTable::parse("routes.toml", &text).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

fn public(path: &str) -> String {
    format!("{{ methods = [\"GET\"], path = \"{path}\", upstream = \"api\", auth = \"public\" }},")
}

fn found(table: &RouteTable, method: &str, path: &str) -> Option<String> {
    match table.find(method, path) {
        RouteMatch::Found { route, .. } => Some(route.template.clone()),
        _ => None,
    }
}

#[test]
fn the_most_specific_template_wins() {
    let table = table(&[public("/a/{*rest}"), public("/a/{id}"), public("/a/me")].join("\n"));
    assert_eq!(found(&table, "GET", "/a/me").as_deref(), Some("/a/me"));
    assert_eq!(found(&table, "HEAD", "/a/you").as_deref(), Some("/a/{id}"));
    assert_eq!(found(&table, "GET", "/a/you/there").as_deref(), Some("/a/{*rest}"));
    assert_eq!(found(&table, "GET", "/b"), None);
}

#[test]
fn other_methods_are_listed() {
    let table = table(&public("/a"));
    assert!(matches!(table.find("POST", "/a"), RouteMatch::OtherMethods(m) if m == [Method::Get]));
    assert!(matches!(table.find("BREW", "/a"), RouteMatch::OtherMethods(_)));
    assert!(matches!(table.find("GET", "/b"), RouteMatch::Nothing));
}

#[test]
fn ambiguity_is_refused_with_its_line() {
    let twice = faults(&[public("/a"), public("/a")].join("\n"));
    assert_eq!(
        twice,
        ["routes.toml:4: GET, HEAD `/a` is served twice; remove one of the two rows"]
    );
    let alike = faults(&[public("/a/{x}"), public("/a/{y}")].join("\n"));
    assert!(alike[0].starts_with("routes.toml:4: `/a/{y}` cannot be told"), "{alike:?}");
}

#[test]
fn every_fault_is_reported_at_once() {
    let rows = "{ methods = [\"GET\"], path = \"/a\", upstream = \"web\", auth = \"public\" },\n\
        { methods = [], path = \"b\", upstream = \"api\", auth = \"public\" },\n\
        { methods = [\"GET\"], path = \"/c\", upstream = \"api\", auth = \"any\" },\n\
        { methods = [\"GET\"], path = \"/d\", upstream = \"api\", auth = \"any\", tenant = \"none\" },\n\
        { methods = [\"GET\"], path = \"/e\", upstream = \"api\", auth = \"user\", tenant = \"none\", permission = \"ViewUsers\" },";
    let lines: Vec<_> =
        faults(rows).iter().map(|l| l.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lines, ["3", "4", "4", "5", "6", "7"]);
}

#[test]
fn unknown_words_are_refused_with_their_line() {
    for row in [
        "{ methods = [\"FETCH\"], path = \"/a\", upstream = \"api\", auth = \"public\" },",
        "{ methods = [\"GET\"], path = \"/a\", upstream = \"api\", auth = \"publik\" },",
        "{ methods = [\"GET\"], path = \"/a\", upstream = \"api\", auth = \"public\", colour = 1 },",
        "{ methods = [\"GET\"], path = \"/a\", upstream = \"api\", auth = \"any\", tenant = \"required\", permission = \"Fly\" },",
    ] {
        let faults = faults(row);
        assert!(faults[0].starts_with("routes.toml:3: "), "{faults:?}");
    }
}

fn metered(more: &str) -> String {
    format!(
        "{{ methods = [\"POST\"], path = \"/send\", upstream = \"api\", auth = \"any\", tenant = \"required\"{more} }},"
    )
}

#[test]
fn a_meter_has_a_weight_and_a_limit_may_be_in_shadow() {
    let route = |table: &RouteTable, method, path| match table.find(method, path) {
        RouteMatch::Found { route, .. } => Arc::clone(route),
        _ => panic!("no route"),
    };
    let rows = [
        metered(", meter = \"messages\""),
        metered(", meter = \"pages_2\", weight = 7").replace("/send", "/print"),
        public("/a").replace(" }", ", address_limit = 5, address_limit_shadow = true }"),
    ];
    let table = table(&rows.join("\n"));
    let meter = |name: &str, weight| {
        Some(Meter { name: name.parse().unwrap(), weight: NonZeroU32::new(weight).unwrap() })
    };
    assert_eq!(route(&table, "POST", "/send").meter, meter("messages", 1));
    assert_eq!(route(&table, "POST", "/print").meter, meter("pages_2", 7));
    assert_eq!(route(&table, "GET", "/a").meter, None);
    assert!(route(&table, "GET", "/a").address_limit_shadow);
    assert!(!route(&table, "POST", "/send").address_limit_shadow);
    assert_eq!(*table.shadow(), Shadow::default());
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let meter = ", meter = \"messages\"";
    let public = |more: &str| public("/a").replace(" }", &format!("{more} }}"));
    for (row, what) in [
        (metered(", weight = 2"), "`weight` says what"),
        (metered(&format!("{meter}, weight = 0")), "nonzero"),
        (metered(&format!("{meter}, weight = -1")), "-1"),
        (metered(", meter = \"Messages\""), "must be 1 to 40 lower-case letters"),
        (metered(", meter = \"plan\""), "`plan` is the name of another limit"),
        (public(meter), "`tenant = \"required\"`"),
        (metered(meter).replace("any", "user").replace("required", "none"), "needs `tenant"),
        (public(", address_limit_shadow = true"), "needs an `address_limit`"),
    ] {
        let faults = faults(&row);
        assert!(faults[0].starts_with("routes.toml:3: "), "{faults:?}");
        assert!(faults[0].contains(what), "{what}: {faults:?}");
    }
}

#[test]
fn limits_in_shadow_are_those_that_there_are() {
    let text = |names: &str| {
        let rows = metered(", meter = \"messages\"");
        format!("{UPSTREAM}limits_in_shadow = [{names}]\nroutes = [\n{rows}\n]")
    };
    let all = text("\"plan\", \"key\", \"address\", \"concurrency\", \"messages\"");
    let table = RouteTable::parse("routes.toml", &all).unwrap();
    let shadow = table.shadow();
    assert!(shadow.plan && shadow.key && shadow.address && shadow.concurrency);
    assert!(shadow.has_meter(&MeterName::messages()));
    assert!(!shadow.has_meter(&"pages".parse().unwrap()));
    for wrong in ["adress", "pages", "", "Plan"] {
        let names = format!("\"plan\",\n\"{wrong}\"");
        let error = RouteTable::parse("routes.toml", &text(&names)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "routes.toml:3: `limits_in_shadow`: there is no limit `{wrong}`; use one of `plan`, `key`, `address`, `concurrency`, `messages`"
            )
        );
    }
}

#[test]
fn only_plain_templates() {
    for bad in ["", "a", "/a//b", "/a/{*rest}/b", "/a{b}", "/{}", "/a b", "/..", "/%61"] {
        assert!(faults(&public(bad))[0].contains("not a path template"), "{bad}");
    }
}

#[test]
fn abnormal_paths() {
    for good in ["/", "/a", "/a/b.c", "/a/%C3%A9", "/a/", "/a/..b", "/a;v=1/b"] {
        assert!(is_normal_path(good), "{good}");
    }
    for bad in [
        "",
        "a",
        "//",
        "/a//b",
        "/a/./b",
        "/a/..",
        "/a/%2E%2e/b",
        "/a%2Fb",
        "/a\\b",
        "/a b",
        "/a/..;/b",
        "/;/a",
    ] {
        assert!(!is_normal_path(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text in "\\PC{0,200}") {
        let _ = RouteTable::parse("t", &text);
        let _ = RouteTable::parse("t", &format!("{UPSTREAM}routes = [{}]", public(&text)));
    }

    #[test]
    fn any_path_is_looked_up_without_panic(path in "\\PC{0,60}") {
        let table = table(&[public("/a/{*rest}"), public("/a/{id}")].join("\n"));
        let _ = table.find("GET", &path);
        let _ = is_normal_path(&path);
    }
}

#[test]
fn the_shipped_table_is_good() {
    let text = include_str!("../../../../config/routes.toml");
    let table = RouteTable::parse("config/routes.toml", text).unwrap_or_else(|e| panic!("{e}"));
    let path = "/api/v1/tenants/tenant_x/users";
    assert_eq!(found(&table, "POST", path).as_deref(), Some("/api/v1/tenants/{tenant_id}/users"));
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let (pools, rows): (Vec<_>, Vec<_>) = lines
        .filter(|line| line.starts_with("upstreams.") || line.starts_with('{'))
        .partition(|line| line.starts_with("upstreams."));
    assert_eq!((pools.len(), rows.len()), (1, 2), "the comment's example");
    let example = format!("{}\nroutes = [\n{}\n]", pools.join("\n"), rows.join("\n"));
    let example = RouteTable::parse("example", &example).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(example.len(), 2);
    assert_eq!(found(&table, "GET", "/docs/problems/not-found").as_deref(), Some("/docs/{*rest}"));
}

/// Where nobody is asked to pay, the key would say nothing.
#[test]
fn open_to_who_does_not_pay_is_what_a_tenant_has_to_pay_for() {
    let row = |auth: &str, more: &str| {
        let head = "{ methods = [\"GET\"], path = \"/a\", upstream = \"api\"";
        format!("{head}, auth = \"{auth}\", open_when_suspended = true{more} }},")
    };
    let open = table(&row("any", ", tenant = \"required\""));
    assert!(open.iter().all(|route| route.open_when_suspended));
    assert!(table(&metered("")).iter().all(|route| !route.open_when_suspended));
    for row in [row("public", ""), row("user", ", tenant = \"none\"")] {
        let expected =
            "routes.toml:3: `/a`: no tenant has to pay for this; leave out `open_when_suspended`";
        assert_eq!(faults(&row), [expected]);
    }
}
