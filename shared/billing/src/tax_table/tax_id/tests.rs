use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<TaxId, TaxTableError> {
    text.parse()
}

fn country(code: &str) -> Country {
    code.parse().unwrap()
}

/// By country: ids in its form (with right check digits, made with python-stdnum 2.2), and some beside it.
const IDS: &[(&str, &[&str], &[&str])] = &[
    ("AT", &["ATU63170669", "ATU00806360"], &["AT63170669", "AT0U806360"]),
    ("BE", &["BE0230450917", "BE0311088797"], &["BE230450917", "BE0230450918", "BE02304509170"]),
    ("BG", &["BG768323839", "BG7683238390"], &["BG76832383", "BG76832383A"]),
    ("CY", &["CY11599971T", "CY07432321I"], &["CY11599971", "CY115999711"]),
    ("CZ", &["CZ66597366", "CZ665973661", "CZ6659736612"], &["CZ6659736", "CZ66597366123"]),
    ("DE", &["DE136695976", "DE983289166"], &["DE13669597", "DE136695977", "DE1366959760"]),
    ("DK", &["DK81628025", "DK19588203"], &["DK8162802", "DK8162802A"]),
    ("EE", &["EE964471157", "EE279634964"], &["EE96447115", "EE9644711570"]),
    ("ES", &["ESB73031510", "ES54362315K", "ESX2482300W"], &["ES123456789", "ES5436231K"]),
    ("FI", &["FI56798832", "FI80643531"], &["FI5679883", "FI56798833"]),
    ("FR", &["FR19677010985", "FRK7399859412"], &["FR1967701098", "FR1967701098A"]),
    (
        "GB",
        &["GB980780684", "GB980780684001", "GBGD001", "GBHA500"],
        &["GB98078068", "GB9807806840"],
    ),
    ("GB", &["XI110305878", "XIGD001"], &["XI11030587", "XI1103058780"]),
    ("GR", &["EL220242232", "EL704775237"], &["EL22024223", "EL220242233"]),
    ("HR", &["HR19650801856", "HR49958092376"], &["HR1965080185", "HR19650801857"]),
    ("HU", &["HU27035603", "HU88780584"], &["HU2703560", "HU270356033"]),
    (
        "IE",
        &["IE0907893B", "IE6433435OA", "IE8D79739I", "IE8+79739I"],
        &["IE0907893", "IE09078931", "IE0907893BCD"],
    ),
    ("IT", &["IT67802760107", "IT40145820516"], &["IT6780276010", "IT67802760108"]),
    ("LT", &["LT924784612", "LT924784612123"], &["LT92478461", "LT9247846121"]),
    ("LU", &["LU05446901", "LU21068118"], &["LU0544690", "LU05446902"]),
    ("LV", &["LV41699964967", "LV43912501430"], &["LV4169996496", "LV416999649671"]),
    ("MT", &["MT72704409", "MT28780504"], &["MT7270440", "MT727044091"]),
    (
        "NL",
        &["NL812187866B41", "NL508605477B67"],
        &["NL812187866", "NL812187866A41", "NL812187866B4"],
    ),
    ("PL", &["PL1955773087", "PL8092689308"], &["PL195577308", "PL1955773088"]),
    ("PT", &["PT804308713", "PT403737389"], &["PT80430871", "PT804308714"]),
    ("RO", &["RO92990856", "RO18", "RO1234567890"], &["RO1", "RO12345678901"]),
    ("SE", &["SE992131438201", "SE955516152101"], &["SE9921314382", "SE99213143820A"]),
    ("SI", &["SI73440183", "SI64973328"], &["SI7344018", "SI734401833"]),
    ("SK", &["SK7844443475", "SK1641783935"], &["SK784444347", "SK78444434755"]),
];

#[test]
fn each_country_has_its_form() {
    for (code, good, bad) in IDS {
        for id in *good {
            let parsed = parse(id).unwrap();
            assert_eq!((parsed.as_str(), parsed.vat_country()), (*id, Some(country(code))));
        }
        for id in *bad {
            assert_eq!(parse(id), Err(TaxTableError::VatId(country(code))), "{id}");
        }
    }
    for member in Country::EU {
        assert!(IDS.iter().any(|(code, _, _)| country(code) == member), "{member}");
        assert!(FORMATS.iter().any(|format| country(format.country) == member), "{member}");
    }
}

#[test]
fn a_wrong_digit_is_found_where_digits_are_checked() {
    // Not Greece's (a remainder of 10 counts as 0) and Portugal's (10 and 11 do): there two digits may pass.
    for (code, good, _) in IDS {
        if !["BE", "DE", "FI", "HR", "IT", "LU", "PL"].contains(code) {
            continue;
        }
        for (id, place) in good.iter().flat_map(|id| (2..id.len()).map(move |place| (id, place))) {
            for digit in '0'..='9' {
                let mut mistyped = (*id).to_owned();
                mistyped.replace_range(place..=place, digit.encode_utf8(&mut [0; 4]));
                assert_eq!(parse(&mistyped).is_ok(), mistyped == *id, "{mistyped}");
            }
        }
    }
}

#[test]
fn a_vat_id_is_stored_without_what_is_written_for_the_eye() {
    for text in ["de 136.695.976", " DE136-695-976 ", "DE136695976"] {
        assert_eq!(parse(text).unwrap().to_string(), "DE136695976");
    }
}

#[test]
fn other_ids_stay_as_they_were_written() {
    // US, Switzerland, Norway, India, Mexico (some begin with letters of a member), a German one that is not for VAT.
    for text in [
        "12-3456789",
        "CHE-123.456.788 MWST",
        "NO 995 525 828 MVA",
        "27AAPFU0939F1ZV",
        "SKO850101AB1",
        "ÑÑÑ850101AB1",
    ] {
        let id = parse(text).unwrap();
        assert_eq!((id.as_str(), id.vat_country()), (text, None));
    }
    assert_eq!(parse("12/345/67890").unwrap().vat_country(), None);
    // Greece's VAT ids begin with EL alone.
    assert_eq!(parse("GR220242232").unwrap().vat_country(), None);
}

#[test]
fn an_id_is_short_and_printable() {
    let longest = "1".repeat(TaxId::CHARS_MAX);
    assert!(parse(&longest).is_ok() && parse("12").is_ok());
    for text in [
        "",
        "1",
        " 1 ",
        &format!("{longest}1"),
        "12\n34",
        "12\u{202e}34",
        "12\0",
        "12\u{a0}34",
        "🧾🧾",
    ] {
        assert_eq!(parse(text), Err(TaxTableError::TaxId), "{text:?}");
    }
}

#[test]
fn an_id_is_stored_as_its_text() {
    let id = parse("EL220242232").unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), r#""EL220242232""#);
    assert_eq!(serde_json::from_str::<TaxId>(r#""EL220242232""#).unwrap(), id);
    let wrong = serde_json::from_str::<TaxId>(r#""EL220242233""#).unwrap_err();
    assert!(wrong.to_string().contains("a VAT id as GR gives them out"), "{wrong}");
}

proptest! {
    #[test]
    fn what_was_parsed_parses_to_itself(text in "([A-Z]{2}|[a-z]{2}|XI|EL)?[ .0-9A-Z+*-]{0,14}") {
        if let Ok(id) = parse(&text) {
            prop_assert_eq!(parse(id.as_str()), Ok(id));
        }
    }

    #[test]
    fn nothing_panics(text: String, prefix in 0..FORMATS.len()) {
        let _ = parse(&text);
        let _ = parse(&format!("{}{text}", FORMATS[prefix].prefix));
        for check in [belgian, luhn, mod_11_10, luxembourgish, greek, finnish, polish, portuguese] {
            let _ = check(&text.chars().filter_map(|c| c.to_digit(10)).collect::<Vec<_>>());
        }
    }
}
