//! The route table's text: whatever is in the file, an answer with lines, never a panic.

use policy::routes::RouteTable;

use crate::input::{bounded, text};

const WORDS: [&str; 40] = [
    "upstreams.api = { peers = [\"a:1\"] }\n",
    "upstreams.api = ",
    "{ peers = [] }",
    "routes = [\n",
    "]",
    "\n",
    "\n",
    ",",
    "{",
    "}",
    "{ methods = [\"GET\"], path = \"/a\", upstream = \"api\", auth = \"public\" },\n",
    "{ methods = [\"GET\"], path = \"",
    "\", upstream = \"api\", auth = \"public\" },\n",
    "{ methods = [\"GET\", \"PUT\"], path = \"/t/{tenant_id}\", upstream = \"api\", auth = \"any\", tenant = \"required\" },\n",
    "methods = [\"GET\", \"GET\"], ",
    "methods = [\"HEAD\"], ",
    "methods = [], ",
    "path = \"",
    "\", ",
    "/",
    "/a",
    "/{id}",
    "/{tenant_id}",
    "/{*rest}",
    "{{",
    "}}",
    "{}",
    "{*}",
    "upstream = \"api\", ",
    "auth = \"user\", ",
    "auth = \"key\", ",
    "tenant = \"required\", ",
    "tenant = \"none\", ",
    "permission = \"ManageUsers\", ",
    "address_limit = 0",
    "body_bytes_max = -1",
    "read_timeout_ms = 99999999999999999999",
    "\"\"\"",
    "# ü\n",
    "\r\n",
];

#[test]
fn fuzz() {
    bounded(bolero::check!().with_max_len(40), 20_000).for_each(|bytes| {
        // Half of the time the file begins well, so that the rest is looked at.
        let begun = bytes.first().is_some_and(|byte| byte % 2 == 0);
        let start = if begun { "upstreams.api = { peers = [\"a:1\"] }\nroutes = [\n" } else { "" };
        let text = format!("{start}{}{}", text(bytes, &WORDS), if begun { "]" } else { "" });
        let lines = 1 + text.matches('\n').count();
        match RouteTable::parse("routes.toml", &text) {
            Ok(table) => drop(table.find("GET", "/a")),
            Err(refused) => {
                assert!(!refused.faults.is_empty(), "{text}");
                for fault in &refused.faults {
                    assert!((1..=lines).contains(&fault.line), "{}: {text}", fault.line);
                    assert!(!fault.message.is_empty(), "{text}");
                }
                let lines: Vec<_> = refused.faults.iter().map(|fault| fault.line).collect();
                assert!(lines.is_sorted(), "{lines:?}");
            }
        }
    });
}
