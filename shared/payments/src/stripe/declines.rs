//! Which refusals are for good (docs.stripe.com/declines/codes): the card is gone, or its owner or its bank forbade it.
//! All others may get through another day.

use domain::payment::Decline;

use super::objects::Refusal;
use crate::call::short;

/// Codes after which the same card is not asked again. Card networks fine those who do ("do not try again").
const HARD: [&str; 24] = [
    "account_closed",
    "bank_account_closed",
    "card_not_supported",
    "currency_not_supported",
    "debit_not_authorized",
    "do_not_try_again",
    "expired_card",
    "fraudulent",
    "incorrect_number",
    "invalid_account",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "lost_card",
    "merchant_blacklist",
    "new_account_information_available",
    "no_such_card",
    "pickup_card",
    "resource_missing",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "stop_payment_order",
];

/// What brings the customer back instead of a refusal.
pub(super) const AUTHENTICATION_REQUIRED: &str = "authentication_required";

impl Refusal {
    /// The bank wants to hear it from the customer.
    pub(super) fn needs_customer(&self) -> bool {
        [&self.code, &self.decline_code]
            .into_iter()
            .any(|code| code.as_deref() == Some(AUTHENTICATION_REQUIRED))
    }

    /// As a decline: the bank's word where there is one.
    pub(super) fn decline(&self) -> Decline {
        let code = self.decline_code.as_deref().or(self.code.as_deref()).unwrap_or("card_declined");
        let hard = [self.decline_code.as_deref(), self.code.as_deref()]
            .into_iter()
            .flatten()
            .any(|code| HARD.contains(&code));
        Decline { hard, code: short(code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decline(code: &str, decline_code: Option<&str>) -> Decline {
        let refusal = Refusal {
            code: Some(code.to_owned()),
            decline_code: decline_code.map(str::to_owned),
            ..Refusal::default()
        };
        refusal.decline()
    }

    #[test]
    fn a_lost_card_is_not_asked_again_and_an_empty_one_is() {
        let hard = |code, decline_code| decline(code, decline_code).hard;
        assert!(hard("card_declined", Some("lost_card")));
        assert!(hard("card_declined", Some("revocation_of_authorization")));
        assert!(hard("expired_card", None));
        assert!(hard("expired_card", Some("generic_decline")));
        assert!(!hard("card_declined", Some("insufficient_funds")));
        assert!(!hard("card_declined", Some("do_not_honor")));
        assert!(!hard("processing_error", None));
        assert_eq!(decline("card_declined", Some("insufficient_funds")).code, "insufficient_funds");
        assert!(HARD.is_sorted());
    }
}
