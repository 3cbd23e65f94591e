//! Events of webhook endpoints themselves.

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::{events, example_id, example_instant};

/// An endpoint through which nothing gets.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FailingData {
    /// The endpoint.
    #[schema(example = "endpoint_01h455vb4pex5vsknk084sn02q")]
    pub endpoint_id: String,
    /// Where it is.
    #[schema(format = "uri")]
    pub url: String,
    /// Since when nothing has got through (RFC 3339).
    #[schema(format = DateTime)]
    pub failing_since: String,
    /// Of the time after which it is disabled, in per cent.
    pub percent: u8,
}

/// An endpoint that was disabled.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DisabledData {
    /// The endpoint.
    #[schema(example = "endpoint_01h455vb4pex5vsknk084sn02q")]
    pub endpoint_id: String,
    /// Where it is.
    #[schema(format = "uri")]
    pub url: String,
    /// `Gone`: it answered 410. `Failing`: nothing got through for five days.
    pub reason: String,
}

/// A test.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TestData {
    /// The endpoint.
    #[schema(example = "endpoint_01h455vb4pex5vsknk084sn02q")]
    pub endpoint_id: String,
    /// A greeting.
    pub greeting: String,
}

impl TestData {
    /// Of an endpoint.
    #[must_use]
    pub fn new(endpoint_id: String) -> Self {
        Self { endpoint_id, greeting: "It works.".to_owned() }
    }
}

events! {
    /// Nothing gets through to an endpoint.
    EndpointFailing = "webhook_endpoint.failing", "Nothing has got through to an endpoint for a half, seven or nine tenths of five days; told to the tenant's other endpoints.", FailingData {
        key: endpoint_id,
        example: FailingData { endpoint_id: example_id("endpoint"), url: "https://example.com/hooks".to_owned(), failing_since: example_instant(), percent: 50 }
    };
    /// An endpoint was disabled.
    EndpointDisabled = "webhook_endpoint.disabled", "An endpoint was disabled; told to the tenant's other endpoints. Its messages are kept, to be replayed.", DisabledData {
        key: endpoint_id,
        example: DisabledData { endpoint_id: example_id("endpoint"), url: "https://example.com/hooks".to_owned(), reason: "Gone".to_owned() }
    };
    /// A test.
    EndpointTest = "webhook_endpoint.test", "Somebody tests an endpoint.", TestData { key: endpoint_id, example: TestData::new(example_id("endpoint")) };
}
