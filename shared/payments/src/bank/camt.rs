//! The message around the entries: which account, which statement, and whether its sums hold.

use domain::bank::Statement;
use domain::money::Money;
use roxmltree::{Document, ParsingOptions};

use super::element::Element;
use super::entries::{self, Direction};
use super::{BYTES_MAX, StatementError};

/// Elements of a file at most.
const NODES_MAX: u32 = 1_000_000;
/// What the namespaces of both messages begin with.
const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:";
/// The first version that has the elements as they are read here.
const VERSION_MIN: u32 = 2;

/// Opening and closing of a page in between, which has no booked balance.
const INTERIM: &str = "ITBD";

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Statement>, StatementError> {
    if bytes.len() > BYTES_MAX {
        return Err(StatementError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| StatementError::Encoding)?;
    // Without a document type there are no entities to expand, of the file or of elsewhere.
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| StatementError::Xml(error.to_string()))?;
    let root = Element(document.root_element());
    let (message, name, balanced) =
        message(root.0.tag_name().namespace()).ok_or(StatementError::OtherDocument)?;
    let message = root.at(&[message]).ok_or(StatementError::OtherDocument)?;
    message.children(name).map(|element| statement(element, balanced)).collect()
}

/// What a document's namespace says it holds, and whether that has balances.
fn message(namespace: Option<&str>) -> Option<(&'static str, &'static str, bool)> {
    let (kind, version) = namespace?.strip_prefix(NAMESPACE)?.split_once(".001.")?;
    if version.parse::<u32>().ok()? < VERSION_MIN {
        return None;
    }
    match kind {
        "camt.053" => Some(("BkToCstmrStmt", "Stmt", true)),
        "camt.054" => Some(("BkToCstmrDbtCdtNtfctn", "Ntfctn", false)),
        _ => None,
    }
}

fn statement(element: Element<'_>, balanced: bool) -> Result<Statement, StatementError> {
    let malformed = |at: &str, what| StatementError::Malformed { at: at.to_owned(), what };
    let bare = element.text_at(&["Id"]).ok_or_else(|| malformed("a statement", "Id"))?;
    let page = element.text_at(&["StmtPgntn", "PgNb"]).filter(|page| page != "1");
    let id = page.map_or_else(|| bare.clone(), |page| format!("{bare}/{page}"));
    let at = format!("statement {id}");
    let iban = element.text_at(&["Acct", "Id", "IBAN"]);
    let iban = iban.ok_or_else(|| malformed(&at, "Acct/Id/IBAN"))?;
    let booked = entries::booked(element, &at)?;
    let mut closing_on = None;
    if balanced {
        let (opening, closing, day) = balances(element, &at)?;
        closing_on = day;
        let moved =
            booked.iter().try_fold(Money { amount_minor: 0, ..opening }, |sum, entry| {
                sum.checked_add(entry.signed())
                    .map_err(|_| malformed(&at, "Ntry/Amt in one currency"))
            })?;
        if opening.checked_add(moved) != Ok(closing) {
            return Err(StatementError::Unbalanced { statement: id, opening, moved, closing });
        }
    }
    let sequence = element.text_at(&["ElctrncSeqNb"]).and_then(|text| text.parse().ok());
    let compact: String = iban.chars().filter(|c| !c.is_whitespace()).collect();
    Ok(Statement {
        iban: compact.to_ascii_uppercase(),
        sequence: sequence.filter(|_| balanced),
        closing_on,
        entries: entries::keyed(&booked),
        id,
    })
}

/// The balances before and after, with their sign, and the day of the latter.
fn balances(
    element: Element<'_>,
    at: &str,
) -> Result<(Money, Money, Option<jiff::civil::Date>), StatementError> {
    let malformed = |what| StatementError::Malformed { at: at.to_owned(), what };
    let of = |codes: &[&str]| {
        let codes: Vec<String> = codes.iter().map(|&code| code.to_owned()).collect();
        let code = |balance: &Element<'_>| {
            balance.text_at(&["Tp", "CdOrPrtry", "Cd"]).is_some_and(|code| codes.contains(&code))
        };
        element.children("Bal").filter(code).collect::<Vec<_>>()
    };
    // A statement of several pages has interim balances where one page goes on with the next.
    let interim = of(&[INTERIM]);
    let opening = of(&["OPBD", "PRCD"]).first().or_else(|| interim.first()).copied();
    let closing = of(&["CLBD"]).first().or_else(|| interim.last()).copied();
    let money = |balance: Option<Element<'_>>| {
        let balance = balance?;
        let direction = Direction::of(balance)?;
        Some(direction.signed(balance.at(&["Amt"])?.money()?))
    };
    let opening = money(opening).ok_or_else(|| malformed("the opening balance"))?;
    let day = closing.and_then(|balance| balance.at(&["Dt"])?.day());
    let closing = money(closing).ok_or_else(|| malformed("the closing balance"))?;
    Ok((opening, closing, day))
}
