//! Statements as a bank writes them (camt.053.001.08).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

/// One statement of one account.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) id: String,
    pub(crate) sequence: u32,
    pub(crate) currency: &'static str,
    /// By how much the closing balance is wrong.
    pub(crate) off: i64,
    pub(crate) transfers: Vec<Transfer>,
}

/// Money in, or out where it is negative.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) amount: i64,
    pub(crate) reversal: bool,
    /// Each has its own.
    pub(crate) bank_reference: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) text: Option<String>,
}

impl Statement {
    pub(crate) fn of(id: &str) -> Self {
        Self { id: id.to_owned(), sequence: 0, currency: "USD", off: 0, transfers: Vec::new() }
    }

    pub(crate) fn xml(&self) -> String {
        let moved: i64 = self.transfers.iter().map(|transfer| transfer.amount).sum();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt>\
             <GrpHdr><MsgId>M</MsgId><CreDtTm>2026-12-03T20:00:00</CreDtTm></GrpHdr><Stmt><Id>{}</Id>",
            self.id
        );
        if self.sequence > 0 {
            let _ = write!(xml, "<ElctrncSeqNb>{}</ElctrncSeqNb>", self.sequence);
        }
        xml.push_str("<Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>");
        for (code, minor) in [("OPBD", 1_000), ("CLBD", 1_000 + moved + self.off)] {
            let _ = write!(
                xml,
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{}<Dt><Dt>2026-12-03</Dt></Dt></Bal>",
                self.amount(minor)
            );
        }
        self.transfers.iter().for_each(|transfer| xml.push_str(&self.entry(transfer)));
        xml.push_str("</Stmt></BkToCstmrStmt></Document>");
        xml
    }

    fn amount(&self, minor: i64) -> String {
        let (whole, part) = (minor.unsigned_abs() / 100, minor.unsigned_abs() % 100);
        let direction = if minor < 0 { "DBIT" } else { "CRDT" };
        let currency = self.currency;
        format!("<Amt Ccy=\"{currency}\">{whole}.{part:02}</Amt><CdtDbtInd>{direction}</CdtDbtInd>")
    }

    fn entry(&self, transfer: &Transfer) -> String {
        let mut xml = format!("<Ntry>{}", self.amount(transfer.amount));
        if transfer.reversal {
            xml.push_str("<RvslInd>true</RvslInd>");
        }
        xml.push_str("<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-12-03</Dt></BookgDt>");
        if let Some(reference) = &transfer.bank_reference {
            let _ = write!(xml, "<AcctSvcrRef>{reference}</AcctSvcrRef>");
        }
        xml.push_str("<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>");
        if let Some(iban) = &transfer.from {
            let _ = write!(
                xml,
                "<RltdPties><Dbtr><Pty><Nm>Payer</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>{iban}</IBAN></Id></DbtrAcct>\
                 </RltdPties>"
            );
        }
        xml.push_str("<RmtInf>");
        if let Some(text) = &transfer.text {
            // As banks break lines, which pays no heed to words.
            let characters: Vec<char> = text.chars().collect();
            for line in characters.chunks(20) {
                let _ = write!(xml, "<Ustrd>{}</Ustrd>", line.iter().collect::<String>());
            }
        }
        if let Some(reference) = &transfer.reference {
            let _ = write!(xml, "<Strd><CdtrRefInf><Ref>{reference}</Ref></CdtrRefInf></Strd>");
        }
        xml.push_str("</RmtInf></TxDtls></NtryDtls></Ntry>");
        xml
    }
}

/// A transfer that the bank has a reference of its own for.
pub(crate) fn transfer(amount: i64) -> Transfer {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let bank_reference = format!("BANK-{}", LAST.fetch_add(1, Ordering::Relaxed));
    Transfer {
        amount,
        reversal: false,
        bank_reference: Some(bank_reference),
        from: None,
        reference: None,
        text: None,
    }
}

impl Transfer {
    pub(crate) fn from(self, iban: &str) -> Self {
        Self { from: Some(iban.to_owned()), ..self }
    }

    pub(crate) fn reference(self, reference: &str) -> Self {
        Self { reference: Some(reference.to_owned()), ..self }
    }

    pub(crate) fn text(self, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..self }
    }
}
