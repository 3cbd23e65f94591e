//! Statements as a bank writes them.

use std::fmt::Write as _;

pub(super) const IBAN: &str = "DE89370400440532013000";

/// A file with one statement.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) version: &'static str,
    /// Whether it is a notification.
    pub(super) notice: bool,
    pub(super) opening: i64,
    /// By how much the closing balance is wrong.
    pub(super) off: i64,
    pub(super) entries: Vec<Batch>,
}

impl Default for File {
    fn default() -> Self {
        Self { version: "08", notice: false, opening: 100_000, off: 0, entries: Vec::new() }
    }
}

/// An entry; with parts, of several movements.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) amount: i64,
    pub(super) status: &'static str,
    pub(super) reversal: bool,
    pub(super) returned: bool,
    pub(super) bank_reference: Option<&'static str>,
    pub(super) references: Vec<String>,
    pub(super) amount_told: bool,
    pub(super) parts: Vec<Batch>,
}

/// Money in, or out where it is negative.
pub(super) fn entry(amount: i64) -> Batch {
    Batch {
        amount,
        status: "BOOK",
        reversal: false,
        returned: false,
        bank_reference: None,
        references: Vec::new(),
        amount_told: true,
        parts: Vec::new(),
    }
}

pub(super) fn credit(amount: i64) -> Batch {
    entry(amount)
}

impl Batch {
    pub(super) fn reference(mut self, reference: &str) -> Self {
        self.references.push(reference.to_owned());
        self
    }

    pub(super) fn status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    pub(super) fn reversal(self) -> Self {
        Self { reversal: true, ..self }
    }

    pub(super) fn returned(self) -> Self {
        Self { returned: true, ..self }
    }

    pub(super) fn bank_reference(self, reference: &'static str) -> Self {
        Self { bank_reference: Some(reference), ..self }
    }

    fn xml(&self, newer: bool) -> String {
        let status =
            if newer { format!("<Cd>{}</Cd>", self.status) } else { self.status.to_owned() };
        let mut xml = format!("<Ntry>{}", amount("Amt", self.amount));
        if self.reversal {
            xml.push_str("<RvslInd>true</RvslInd>");
        }
        let _ = write!(xml, "<Sts>{status}</Sts><BookgDt><Dt>2026-12-03</Dt></BookgDt>");
        if let Some(reference) = self.bank_reference {
            let _ = write!(xml, "<AcctSvcrRef>{reference}</AcctSvcrRef>");
        }
        xml.push_str("<NtryDtls>");
        if self.parts.is_empty() {
            xml.push_str(&self.details(newer));
        }
        self.parts.iter().for_each(|part| xml.push_str(&part.details(newer)));
        xml.push_str("</NtryDtls></Ntry>");
        xml
    }

    fn details(&self, newer: bool) -> String {
        let mut xml = "<TxDtls><Refs><EndToEndId>E2E-7</EndToEndId></Refs>".to_owned();
        if self.amount_told {
            xml.push_str(&amount("Amt", self.amount));
        }
        let name = "<Nm>Max &amp; Söhne GmbH</Nm>";
        let party = if newer { format!("<Pty>{name}</Pty>") } else { name.to_owned() };
        let account = "<Id><IBAN>NL91ABNA0417164300</IBAN></Id>";
        let (who, whose) =
            if self.amount < 0 { ("Cdtr", "CdtrAcct") } else { ("Dbtr", "DbtrAcct") };
        let _ = write!(
            xml,
            "<RltdPties><{who}>{party}</{who}><{whose}>{account}</{whose}></RltdPties><RmtInf>"
        );
        if self.references.is_empty() {
            xml.push_str("<Ustrd>Rechnung 7</Ustrd><Ustrd>und Dank</Ustrd>");
        }
        for reference in &self.references {
            let _ = write!(xml, "<Strd><CdtrRefInf><Ref>{reference}</Ref></CdtrRefInf></Strd>");
        }
        xml.push_str("</RmtInf>");
        if self.returned {
            xml.push_str("<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>");
        }
        xml.push_str("</TxDtls>");
        xml
    }
}

impl File {
    pub(super) fn xml(&self) -> String {
        let booked = self.entries.iter().filter(|entry| entry.status == "BOOK");
        let closing = self.opening + booked.map(|entry| entry.amount).sum::<i64>() + self.off;
        let (kind, root, name) = if self.notice {
            ("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn")
        } else {
            ("camt.053", "BkToCstmrStmt", "Stmt")
        };
        let newer = self.version >= "07";
        let version = self.version;
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:{kind}.001.{version}\"><{root}>\
             <GrpHdr><MsgId>M</MsgId><CreDtTm>2026-12-03T20:00:00</CreDtTm></GrpHdr>\
             <{name}><Id>2026-12-03</Id><ElctrncSeqNb>42</ElctrncSeqNb>\
             <Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>"
        );
        if !self.notice {
            xml.push_str(&balance("OPBD", self.opening));
            xml.push_str(&balance("CLBD", closing));
        }
        self.entries.iter().for_each(|entry| xml.push_str(&entry.xml(newer)));
        let _ = write!(xml, "</{name}></{root}></Document>");
        xml
    }
}

fn balance(code: &str, minor: i64) -> String {
    let amount = amount("Amt", minor);
    format!(
        "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{amount}<Dt><Dt>2026-12-03</Dt></Dt></Bal>"
    )
}

fn amount(name: &str, minor: i64) -> String {
    let (whole, part) = (minor.unsigned_abs() / 100, minor.unsigned_abs() % 100);
    let direction = if minor < 0 { "DBIT" } else { "CRDT" };
    format!("<{name} Ccy=\"EUR\">{whole}.{part:02}</{name}><CdtDbtInd>{direction}</CdtDbtInd>")
}
