//! Countries by their ISO 3166-1 codes, and which of them are one territory for value added tax.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TaxTableError;

/// ISO 3166-1 alpha-2, as of 2026; and XK, which the EU uses for Kosovo.
const CODES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO \
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A country (ISO 3166-1 alpha-2): Greece is `GR`, the United Kingdom `GB`. Small letters are read as capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// The members of the European Union.
    pub const EU: [Self; 27] = [
        Self(*b"AT"),
        Self(*b"BE"),
        Self(*b"BG"),
        Self(*b"CY"),
        Self(*b"CZ"),
        Self(*b"DE"),
        Self(*b"DK"),
        Self(*b"EE"),
        Self(*b"ES"),
        Self(*b"FI"),
        Self(*b"FR"),
        Self(*b"GR"),
        Self(*b"HR"),
        Self(*b"HU"),
        Self(*b"IE"),
        Self(*b"IT"),
        Self(*b"LT"),
        Self(*b"LU"),
        Self(*b"LV"),
        Self(*b"MT"),
        Self(*b"NL"),
        Self(*b"PL"),
        Self(*b"PT"),
        Self(*b"RO"),
        Self(*b"SE"),
        Self(*b"SI"),
        Self(*b"SK"),
    ];
    /// The United Kingdom, Northern Ireland with it: its special place is for goods, not for services.
    pub const GB: Self = Self(*b"GB");

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether it is a member of the European Union.
    #[must_use]
    pub fn is_eu(self) -> bool {
        Self::EU.contains(&self)
    }

    /// The country as whose part it is taxed: Monaco's VAT is France's (Art. 7 Directive 2006/112/EC), the Isle of
    /// Man's the United Kingdom's (Customs and Excise Agreement 1979).
    pub(super) const fn territory(self) -> Self {
        match &self.0 {
            b"MC" => Self(*b"FR"),
            b"IM" => Self::GB,
            _ => self,
        }
    }
}

impl FromStr for Country {
    type Err = TaxTableError;

    fn from_str(text: &str) -> Result<Self, TaxTableError> {
        let code = text.to_ascii_uppercase();
        match <[u8; 2]>::try_from(code.as_bytes()) {
            Ok(letters) if CODES.split(' ').any(|known| known == code) => Ok(Self(letters)),
            _ => Err(TaxTableError::Country),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = TaxTableError;

    fn try_from(text: String) -> Result<Self, TaxTableError> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_iso_codes() {
        assert_eq!(CODES.split(' ').count(), 250);
        assert!(CODES.split(' ').is_sorted());
        for code in CODES.split(' ') {
            assert_eq!(code.parse::<Country>().unwrap().to_string(), code);
        }
        assert_eq!("de".parse::<Country>(), "DE".parse());
        // What people write for Greece and the United Kingdom, and what is none.
        for code in ["EL", "UK", "XI", "EU", "ZZ", "D", "DEU", "D ", "Ä", "", "🇩🇪"] {
            assert_eq!(code.parse::<Country>(), Err(TaxTableError::Country), "{code}");
        }
    }

    #[test]
    fn the_eu_has_27_members() {
        assert!(Country::EU.is_sorted());
        for country in Country::EU {
            assert_eq!(country.as_str().parse(), Ok(country));
        }
        assert!(!Country::GB.is_eu());
    }

    #[test]
    fn a_country_is_stored_as_its_code() {
        assert_eq!(serde_json::to_string(&Country::GB).unwrap(), r#""GB""#);
        assert_eq!(serde_json::from_str::<Country>(r#""GB""#).unwrap(), Country::GB);
        assert!(serde_json::from_str::<Country>(r#""UK""#).is_err());
    }
}
