//! To who pays, when the service is restricted, will end, or has ended, because an invoice is not paid.

use jobs::catalog::DunningStage;
use store::mail_facts::{InvoiceFacts, MemberFacts};

use super::{one_line, worded};

/// Says what holds now, for which invoice, and how it is mended.
pub(crate) struct Dunning {
    name: String,
    tenant: String,
    number: String,
    due: String,
    stage: DunningStage,
    link: Option<String>,
}

worded!(Dunning, "dunning.txt", "dunning.html");

impl Dunning {
    pub(crate) fn new(
        member: &MemberFacts,
        invoice: &InvoiceFacts,
        stage: DunningStage,
        link: Option<String>,
    ) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            number: invoice.number.clone(),
            due: invoice.due.to_string(),
            stage,
            link,
        }
    }

    fn subject(&self) -> String {
        let tenant = &self.tenant;
        match self.stage {
            DunningStage::ReadOnly => format!("{tenant} can only be read until it is paid"),
            DunningStage::BillingOnly => format!("{tenant} is suspended until it is paid"),
            DunningStage::FinalNotice => format!("The subscription of {tenant} is about to end"),
            DunningStage::Ended => format!("The subscription of {tenant} has ended"),
        }
    }

    /// Whether it is all as it was once it is paid.
    fn can_be_mended(&self) -> bool {
        self.stage != DunningStage::Ended
    }

    /// What holds now.
    fn state(&self) -> &'static str {
        match self.stage {
            DunningStage::ReadOnly => {
                "Until it is paid, nothing can be changed any more. All that is there can be read."
            }
            DunningStage::BillingOnly => {
                "Until it is paid, the service is suspended. Your data is kept."
            }
            DunningStage::FinalNotice => {
                "If it is not paid in the next days, the subscription ends."
            }
            DunningStage::Ended => {
                "The subscription has ended for it, and the free plan follows. Your data is kept as the free plan keeps it."
            }
        }
    }
}
