//! The signed context: a changed one, or one for another request, opens nowhere.

use std::net::IpAddr;

use bolero::produce;
use credentials::SymmetricKey;
use credentials::edge_context::{Binding, ContextKey, EdgeContext, PoolKey, Principal};
use domain::id::{RequestId, TenantId};
use domain::plan::PlanName;
use domain::secret::Secret;
use jiff::Timestamp;
use uuid::Uuid;

use crate::input::{bounded, forged};

const BINDING: Binding<'static> =
    Binding { audience: "api", method: "GET", path_and_query: "/api/v1/dashboard?x=1" };

#[test]
fn fuzz() {
    let key = ContextKey::new(&PoolKey::derive(&SymmetricKey::new(Secret::new([5; 32])), "api"));
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let changes = produce::<Vec<(u16, u8, u8)>>().with().len(0_usize..5);
    let target = bolero::check!().with_generator((
        produce::<(u128, u64, Option<u128>, [u8; 16])>(),
        changes,
        produce::<String>(),
    ));
    bounded(target, 30_000).for_each(|((request, nonce, tenant, address), changes, path)| {
        let context = EdgeContext {
            request_id: RequestId::from_uuid(Uuid::from_u128(*request)),
            nonce: *nonce,
            tenant_id: tenant.map(|id| TenantId::from_uuid(Uuid::from_u128(id))),
            plan: tenant.map(|_| PlanName::Pro),
            principal: Principal::Anonymous,
            client_address: IpAddr::from(*address),
        };
        let genuine = key.seal(&context, BINDING, now);
        assert_eq!(key.open(&genuine, BINDING, now), Ok(context));

        let text = forged(&genuine, changes);
        assert_eq!(key.open(&text, BINDING, now).is_ok(), text == genuine, "{text:?}");
        let elsewhere = Binding { path_and_query: path, ..BINDING };
        let same = *path == BINDING.path_and_query;
        assert_eq!(key.open(&genuine, elsewhere, now).is_ok(), same, "{path:?}");
        assert!(key.open(path, BINDING, now).is_err(), "{path:?}");
    });
}
