//! Access tokens: whatever is made of a genuine one, only the genuine one is accepted.

use bolero::{TypeGenerator, produce};
use credentials::access_token::{
    Claims, PublicJwk, TokenIssuer, TokenVerifier, generate_signing_key,
};
use domain::id::{SessionId, SigningKeyId, UserId};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use uuid::Uuid;

use crate::input::{bounded, forged};

const NOW: i64 = 1_700_000_000;

/// What a forger does to a token's three parts.
#[derive(Debug, Clone, TypeGenerator)]
enum Forgery {
    /// Bytes of the whole, anywhere.
    Bytes(Vec<(u16, u8, u8)>),
    /// Parts of another genuine token in place of its own.
    Mixed([bool; 3]),
    /// Another key's signature over the same, by whatever id it says.
    Resigned,
    /// Parts left out, doubled or swapped.
    Shuffled(Vec<u8>),
    /// Anything at all.
    Text(String),
}

fn issuer(number: u128) -> (TokenIssuer, PublicJwk) {
    let id = SigningKeyId::from_uuid(Uuid::from_u128(number));
    let (private, public) = generate_signing_key(id, &SystemRandom::new()).expect("randomness");
    (TokenIssuer::new(id, &private).expect("a key"), public)
}

fn token(issuer: &TokenIssuer, user: u128) -> (String, Claims) {
    let claims = Claims {
        iss: "pytake".into(),
        aud: "pytake-api".into(),
        sub: UserId::from_uuid(Uuid::from_u128(user)),
        sid: SessionId::from_uuid(Uuid::from_u128(2)),
        tid: None,
        amr: vec!["pwd".into()],
        iat: NOW,
        nbf: NOW,
        exp: NOW + 600,
    };
    (issuer.issue(&claims).expect("a checked key signs").expose().clone(), claims)
}

#[test]
fn fuzz() {
    let (ours, jwk) = issuer(9);
    let (theirs, _) = issuer(9);
    let verifier = TokenVerifier::new("pytake", "pytake-api", [jwk]);
    let issued = [token(&ours, 1), token(&ours, 3)];
    let foreign = token(&theirs, 1).0;
    let now = Timestamp::from_second(NOW).expect("a time");
    let [genuine, other] = [&issued[0].0, &issued[1].0];
    let parts: Vec<Vec<&str>> = [genuine, other].map(|token| token.split('.').collect()).into();
    let target = bolero::check!().with_generator(produce::<Forgery>());
    bounded(target, 800).for_each(|forgery| {
        let text = match forgery {
            Forgery::Bytes(changes) => forged(genuine, changes),
            Forgery::Mixed(which) => {
                let part = |index: usize| parts[usize::from(which[index])][index];
                [part(0), part(1), part(2)].join(".")
            }
            Forgery::Resigned => foreign.clone(),
            Forgery::Shuffled(order) => {
                let order = order.iter().take(8).map(|index| parts[0][usize::from(*index) % 3]);
                order.collect::<Vec<_>>().join(".")
            }
            Forgery::Text(text) => text.clone(),
        };
        let expected = issued.iter().find(|(token, _)| *token == text).map(|(_, claims)| claims);
        assert_eq!(verifier.verify(&text, now).ok().as_ref(), expected, "{text:?}");
    });
}
