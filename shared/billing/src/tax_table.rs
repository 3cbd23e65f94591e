//! Who owes which tax: the place of supply of an electronic service, and the dated rates of `config/taxes.toml`
//! (§2.8). Rules are code and rates are data. What it does not know it never taxes at 0 % in silence, if it
//! can help it: see [`TaxTable::check`].

mod country;
mod rates;
mod tax_id;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use self::country::Country;
use self::rates::{Levy, Rates, RatesText};
pub use self::tax_id::TaxId;
use crate::tax::{TaxCategory, TaxRate, TaxTerms};

/// Where a seller from elsewhere registers for all of the EU at once: the One-Stop Shop.
const OSS: &str = "EU";

const REVERSE_CHARGE_EU: &str =
    "Reverse charge: VAT to be accounted for by the recipient (Art. 196 Directive 2006/112/EC)";
const REVERSE_CHARGE: &str = "Reverse charge: VAT to be accounted for by the recipient";
const OUTSIDE_EU: &str = "Outside the scope of EU VAT: supplied where the customer is established (Art. 44 and 58 \
                          Directive 2006/112/EC)";
const OUTSIDE_GB: &str = "Outside the scope of UK VAT: supplied where the customer belongs";
const EXEMPT: &str = "Exempt from tax: the customer's exemption certificate is on file";
const ZERO_RATED: &str = "Zero-rated";

/// Why a text is no country, tax id or table, or a table not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxTableError {
    /// Not a country.
    #[error(
        "must be an ISO 3166-1 code of two letters, such as `DE`; Greece is `GR`, the United Kingdom `GB`"
    )]
    Country,
    /// Not a tax id.
    #[error(
        "must be a tax id of {} to {} letters, digits, blanks and signs",
        TaxId::CHARS_MIN,
        TaxId::CHARS_MAX
    )]
    TaxId,
    /// It begins like a VAT id, but is none.
    #[error(
        "must be a VAT id as {0} gives them out: compare it with the certificate of registration"
    )]
    VatId(Country),
    /// Not the file's form.
    #[error("the tax table cannot be read: compare it with the comments of `config/taxes.toml`")]
    Form(#[source] Box<toml::de::Error>),
    /// The name of a table's part.
    #[error(
        "`jurisdictions.{0}` of the tax table must be named by an ISO code such as `DE` or `US-NY`"
    )]
    Jurisdiction(String),
    /// A jurisdiction's rates.
    #[error(
        "`jurisdictions.{0}` of the tax table must have rates in the order of `from`, each from another day, and no \
         product both `special` and `untaxed`"
    )]
    Rates(String),
    /// A seller in the EU owes each member's tax.
    #[error(
        "`jurisdictions.{0}` is missing from the tax table: all members of the EU must be there"
    )]
    Missing(Country),
    /// The seller collects tax for which there is no rate.
    #[error(
        "the seller collects tax in {0}, which the tax table does not know: add `jurisdictions.{0}` to it, or correct \
         the seller's country or registrations"
    )]
    Unknown(String),
}

/// What is sold, as far as tax law cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductCategory {
    /// An electronically supplied service: software, an API, storage.
    Software,
    /// An electronic book or periodical, which some tax less.
    Publication,
}

/// Who sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// Where it is established.
    pub country: Country,
    /// The state, where the country has any that tax: `NY`.
    pub region: Option<String>,
    /// Printed on its invoices.
    pub tax_id: Option<TaxId>,
    /// Jurisdictions in which it collects tax: `US-NY`, `GB`, or `EU` for all members by the One-Stop Shop. Its own
    /// country, and for a seller in the EU all of it, go without saying; states do not.
    #[serde(default)]
    pub registered: BTreeSet<String>,
}

/// Who buys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Where it is established, or lives.
    pub country: Option<Country>,
    /// The state: `NY` or `US-NY`.
    pub region: Option<String>,
    /// One of the VAT of its own country makes it a business.
    pub tax_id: Option<TaxId>,
    /// Whether the operator keeps a certificate that it pays no tax.
    pub exempt: bool,
}

/// `config/taxes.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxTable {
    jurisdictions: BTreeMap<String, Rates>,
}

/// The file's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    jurisdictions: BTreeMap<String, RatesText>,
}

impl TaxTable {
    /// The table that a text in the form of `config/taxes.toml` describes.
    ///
    /// # Errors
    /// When it has another form, or a member of the EU is missing.
    pub fn parse(text: &str) -> Result<Self, TaxTableError> {
        let text: TableText =
            toml::from_str(text).map_err(|error| TaxTableError::Form(Box::new(error)))?;
        let mut jurisdictions = BTreeMap::new();
        for (name, rates) in text.jurisdictions {
            if !is_jurisdiction(&name) {
                return Err(TaxTableError::Jurisdiction(name));
            }
            let Some(rates) = Rates::parse(rates) else { return Err(TaxTableError::Rates(name)) };
            jurisdictions.insert(name, rates);
        }
        let known = |country: &Country| jurisdictions.contains_key(country.as_str());
        match Country::EU.into_iter().find(|country| !known(country)) {
            Some(missing) => Err(TaxTableError::Missing(missing)),
            None => Ok(Self { jurisdictions }),
        }
    }

    /// Refuses a seller for whom the table lacks a rate. To be called when the two are loaded: [`Self::terms`]
    /// cannot fail, and charges nothing where it knows nothing.
    ///
    /// # Errors
    /// With the first jurisdiction that is missing.
    pub fn check(&self, seller: &Seller) -> Result<(), TaxTableError> {
        let home = seller.country.territory();
        let states = format!("{home}-");
        let known = |name: &str| name == OSS || self.jurisdictions.contains_key(name);
        if !known(home.as_str()) && !self.jurisdictions.keys().any(|name| name.starts_with(&states))
        {
            return Err(TaxTableError::Unknown(home.to_string()));
        }
        match seller.registered.iter().find(|name| !known(name)) {
            Some(unknown) => Err(TaxTableError::Unknown(unknown.clone())),
            None => Ok(()),
        }
    }

    /// What applies to a line of `category` with its tax point on a day of the seller's calendar. `inclusive` says
    /// whether prices include what tax there is: it changes no price, so where there is none, all of it is net.
    ///
    /// The rules are those of the place of supply of electronic services (§2.8; Art. 44, 58 and 196 Directive
    /// 2006/112/EC): it is where the customer is. A seller without duty to collect there charges nothing.
    #[must_use]
    pub fn terms(
        &self,
        seller: &Seller,
        customer: &Customer,
        category: ProductCategory,
        tax_point: Date,
        inclusive: bool,
    ) -> TaxTerms {
        let place = Place::of(seller, customer);
        let owed = self.owed(seller, &place);
        let jurisdiction = owed.map(|(name, _)| name.to_owned());
        let free = |category: TaxCategory, note: Option<&str>| TaxTerms {
            category,
            jurisdiction: jurisdiction.clone(),
            note: note.map(str::to_owned),
            ..TaxTerms::none()
        };
        if customer.exempt {
            return free(TaxCategory::Exempt, Some(EXEMPT));
        }
        let Some((_, rates)) = owed else {
            return free(TaxCategory::OutsideScope, seller.note_abroad());
        };
        if place.country != seller.country.territory() && customer.is_business_of(place.country) {
            let note = if place.country.is_eu() { REVERSE_CHARGE_EU } else { REVERSE_CHARGE };
            return free(TaxCategory::ReverseCharge, Some(note));
        }
        match rates.levy(category, tax_point) {
            Levy::Nothing => free(TaxCategory::OutsideScope, None),
            Levy::Rate(TaxRate::ZERO) => free(TaxCategory::ZeroRated, Some(ZERO_RATED)),
            Levy::Rate(rate) => TaxTerms { rate, inclusive, ..free(TaxCategory::Standard, None) },
        }
    }

    /// The jurisdiction that the seller owes tax for sales in a place, by its name, and its rates: a state's before
    /// the country's.
    fn owed(&self, seller: &Seller, place: &Place) -> Option<(&str, &Rates)> {
        let state = place.state.as_ref().filter(|state| seller.registered.contains(*state));
        let country = seller.collects_in(place.country).then(|| place.country.to_string());
        let known = |name: &String| self.jurisdictions.get_key_value(name);
        let (name, rates) = state.and_then(known).or_else(|| country.as_ref().and_then(known))?;
        Some((name, rates))
    }
}

impl Seller {
    /// Whether it collects the tax of a country; of its states, see `registered`.
    fn collects_in(&self, country: Country) -> bool {
        let home = self.country.territory();
        country == home
            || self.registered.contains(country.as_str())
            || (country.is_eu() && (home.is_eu() || self.registered.contains(OSS)))
    }

    /// What the law of its country wants said of a sale outside of its scope (EN 16931, BR-O-10).
    fn note_abroad(&self) -> Option<&'static str> {
        match self.country.territory() {
            home if home.is_eu() => Some(OUTSIDE_EU),
            Country::GB => Some(OUTSIDE_GB),
            _ => None,
        }
    }
}

impl Customer {
    /// Whether its tax id is one of the country's VAT. Another country's says nothing of a business in this one.
    fn is_business_of(&self, country: Country) -> bool {
        self.tax_id.as_ref().and_then(TaxId::vat_country) == Some(country)
    }
}

/// Where a sale is taxed.
struct Place {
    country: Country,
    /// Such as `US-NY`.
    state: Option<String>,
}

impl Place {
    /// Where the customer is. One who does not say counts as where the seller is, so that the tax is charged rather
    /// than lost: in the EU the seller must prove that it need not, and US states that follow the Streamlined Sales
    /// and Use Tax Agreement source such a sale to the seller's address (§ 310(A)(5)).
    fn of(seller: &Seller, customer: &Customer) -> Self {
        let home = seller.country.territory();
        let country = customer.country.map_or(home, Country::territory);
        let stated = customer.region.as_deref().filter(|_| customer.country.is_some());
        let stated = stated.filter(|region| !region.trim().is_empty());
        let own = seller.region.as_deref().filter(|_| country == home);
        let state = stated.or(own).map(|region| state_of(country, region));
        Self { country, state }
    }
}

/// `US-NY`, of `ny` as of `US-NY`.
fn state_of(country: Country, region: &str) -> String {
    let region = region.trim().to_uppercase();
    let region = region.strip_prefix(&format!("{country}-")).unwrap_or(&region);
    format!("{country}-{region}")
}

/// Whether `name` is a country, or a part of one (ISO 3166-2).
fn is_jurisdiction(name: &str) -> bool {
    let (country, part) = name.split_once('-').unwrap_or((name, "X"));
    let is_part = (1..=3).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_part && country.parse::<Country>().is_ok_and(|parsed| parsed.as_str() == country)
}
