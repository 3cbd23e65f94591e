//! `pytake-proxy pool-keys NAME`: what the operator hands to the application of a pool. The installation's own
//! context keys, from which these are derived, are never shown: they stay with the edge and the API.

use std::io::Write;

use anyhow::{Context, bail};
use credentials::SymmetricKey;
use credentials::edge_context::PoolKey;
use domain::secret::Secret;
use policy::routes::RouteTable;
use settings::Settings;

use crate::table::read_routes;

/// Prints the keys of `pool`, one for each line of the context key file, in its order.
pub(crate) fn print(pool: &str) -> anyhow::Result<()> {
    let settings = Settings::load()?;
    let routes = read_routes(&settings.edge.routes_file)?;
    let context_keys = settings.secrets.edge_context_key_file.read()?;
    let keys = derive(pool, &routes, context_keys.into_iter().map(SymmetricKey::new))?;
    let mut out = std::io::stdout().lock();
    for key in keys {
        writeln!(out, "{}", key.expose()).context("cannot write to standard output")?;
    }
    out.flush().context("cannot write to standard output")
}

fn derive(
    pool: &str,
    routes: &RouteTable,
    context_keys: impl Iterator<Item = SymmetricKey>,
) -> anyhow::Result<Vec<Secret<String>>> {
    let mut known: Vec<&str> = routes.upstreams().map(|(name, _)| &**name).collect();
    if !known.contains(&pool) {
        known.sort_unstable();
        bail!("the route table has no pool {pool:?}; it has {}", known.join(", "));
    }
    Ok(context_keys.map(|key| PoolKey::derive(&key, pool).to_hex()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context_keys() -> impl Iterator<Item = SymmetricKey> {
        [1, 2].map(|byte| SymmetricKey::new(Secret::new([byte; 32]))).into_iter()
    }

    fn routes() -> RouteTable {
        let text = "upstreams.api = { peers = [\"a:1\"] }\nupstreams.app = { peers = [\"a:2\"] }\nroutes = []";
        RouteTable::parse("t", text).unwrap()
    }

    #[test]
    fn one_key_a_line_of_the_file_and_none_of_another_pool() {
        let app = derive("app", &routes(), context_keys()).unwrap();
        let api = derive("api", &routes(), context_keys()).unwrap();
        assert_eq!(app.len(), 2);
        assert!(app.iter().all(|key| !api.contains(key)));
        let newest = PoolKey::derive(&SymmetricKey::new(Secret::new([2; 32])), "app");
        assert_eq!(app[1].expose().parse(), Ok(newest));
    }

    #[test]
    fn a_pool_that_does_not_exist_has_no_keys() {
        let error = derive("shop", &routes(), context_keys()).unwrap_err().to_string();
        assert_eq!(error, "the route table has no pool \"shop\"; it has api, app");
    }
}
