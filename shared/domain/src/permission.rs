//! Permissions, roles and key scopes: one table that code, documentation and tests read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::spelled_enum;
use crate::tenant::UnknownName;

spelled_enum! {
    /// A member's role: a named set of permissions ([`MATRIX`]).
    Role {
        /// Everything; the only one who manages billing; cannot be removed while last.
        Owner,
        /// Users and their roles, integrations, all analytics; no billing.
        Admin,
        /// WhatsApp, automations, analytics; invites and removes `User` and `ReadOnly`.
        Manager,
        /// Messages, contacts, basic analytics.
        User,
        /// Every read but secrets and billing details.
        ReadOnly,
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: $roles:literal,)*) => {
        /// One thing that a principal may do in a tenant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[repr(u8)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            /// Every permission, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The spelling on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }

        impl std::str::FromStr for Permission {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $(stringify!($name) => Ok(Self::$name),)*
                    _ => Err(UnknownName::of(&[$(stringify!($name),)*])),
                }
            }
        }

        impl From<Permission> for String {
            fn from(permission: Permission) -> Self {
                permission.as_str().to_owned()
            }
        }

        /// Which role holds which permission: a column each for Owner, Admin, Manager, User, ReadOnly;
        /// `x` holds, `-` does not.
        pub const MATRIX: &[(Permission, &str)] = &[$((Permission::$name, $roles),)*];
    };
}

permissions! {
    //                                                      O A M U R
    /// See the tenant and its settings.
    ViewTenant:                                            "x x x x x",
    /// Change the tenant's settings.
    ManageTenant:                                          "x x - - -",
    /// Close the tenant.
    CloseTenant:                                           "x - - - -",
    /// See members and invitations.
    ViewUsers:                                             "x x x x x",
    /// Invite and remove members whose role is `User` or `ReadOnly`.
    InviteUsers:                                           "x x x - -",
    /// Invite, change and remove members up to `Admin`.
    ManageUsers:                                           "x x - - -",
    /// Make, change and remove owners.
    ManageOwners:                                          "x - - - -",
    /// See API keys (never their secret).
    ViewApiKeys:                                           "x x x - x",
    /// Create and delete API keys.
    ManageApiKeys:                                         "x x - - -",
    /// See the address allowlist.
    ViewNetwork:                                           "x x x x x",
    /// Change the address allowlist.
    ManageNetwork:                                         "x x - - -",
    /// See plan, invoices and payment methods.
    ViewBilling:                                           "x - - - -",
    /// Change the plan and pay.
    ManageBilling:                                         "x - - - -",
    /// See usage against the plan's limits.
    ViewUsage:                                             "x x x x x",
    /// See reports.
    ViewAnalytics:                                         "x x x x x",
    /// Read the audit trail.
    ViewAuditEvents:                                       "x x - - x",
    /// See outgoing webhook endpoints (never their secret).
    ViewWebhooks:                                          "x x x - x",
    /// Change outgoing webhook endpoints.
    ManageWebhooks:                                        "x x - - -",
    /// Change WhatsApp configurations and integrations.
    ManageWhatsApp:                                        "x x x - -",
    /// Send messages.
    SendMessages:                                          "x x x x -",
    /// Read messages.
    ViewMessages:                                          "x x x x x",
    /// See contacts.
    ViewContacts:                                          "x x x x x",
    /// Change contacts.
    ManageContacts:                                        "x x x x -",
    /// See automations.
    ViewAutomations:                                       "x x x x x",
    /// Create and change automations.
    ManageAutomations:                                     "x x x - -",
}

const COLUMNS: [Role; 5] = [Role::Owner, Role::Admin, Role::Manager, Role::User, Role::ReadOnly];

impl Role {
    /// The permissions that the role holds by itself.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        let column = COLUMNS.iter().position(|role| *role == self).unwrap_or(COLUMNS.len());
        MATRIX
            .iter()
            .filter(|(_, marks)| marks.split(' ').nth(column) == Some("x"))
            .map(|(permission, _)| *permission)
            .collect()
    }

    /// What a principal must hold to give or take this role.
    #[must_use]
    pub const fn granting_permission(self) -> Permission {
        match self {
            Self::Owner => Permission::ManageOwners,
            Self::Admin | Self::Manager => Permission::ManageUsers,
            Self::User | Self::ReadOnly => Permission::InviteUsers,
        }
    }
}

impl Permission {
    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Permission {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

/// A set of permissions in one word. On the wire a list of names, in binary formats the word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// Holds nothing.
    pub const EMPTY: Self = Self(0);

    /// Whether `permission` is held.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of `other` is held.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What either holds.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both hold.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What this holds and `other` does not.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The held permissions, in the table's order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// The set as one word, for compact signed statements between processes of one release.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of a word made by [`Self::bits`]; bits that name no permission are dropped.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let known: Self = Permission::ALL.iter().copied().collect();
        Self(bits & known.0)
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.iter())
        } else {
            self.bits().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self::from_bits);
        }
        Ok(Vec::<Permission>::deserialize(deserializer)?.into_iter().collect())
    }
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $permission:ident,)*) => {
        /// What an API key may do, in dotted form. Each scope stands for one permission.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[repr(u8)]
        pub enum Scope { $($(#[$doc])* $name,)* }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The dotted spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The permission that the scope stands for.
            #[must_use]
            pub const fn permission(self) -> Permission {
                match self { $(Self::$name => Permission::$permission,)* }
            }
        }

        impl std::str::FromStr for Scope {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownName::of(&[$($text,)*])),
                }
            }
        }
    };
}

scopes! {
    /// Send messages.
    WhatsAppSend = "whatsapp.send" => SendMessages,
    /// Receive and read messages.
    WhatsAppReceive = "whatsapp.receive" => ViewMessages,
    /// Change WhatsApp configurations.
    WhatsAppManage = "whatsapp.manage" => ManageWhatsApp,
    /// Read contacts.
    ContactsRead = "contacts.read" => ViewContacts,
    /// Change contacts.
    ContactsWrite = "contacts.write" => ManageContacts,
    /// Read automations.
    AutomationsRead = "automations.read" => ViewAutomations,
    /// Change automations.
    AutomationsWrite = "automations.write" => ManageAutomations,
    /// Read reports.
    AnalyticsRead = "analytics.read" => ViewAnalytics,
    /// Read usage.
    UsageRead = "usage.read" => ViewUsage,
    /// Read the tenant and its settings.
    TenantRead = "tenant.read" => ViewTenant,
    /// Read members.
    UsersRead = "users.read" => ViewUsers,
    /// Invite members.
    UsersInvite = "users.invite" => InviteUsers,
    /// Read API keys.
    ApiKeysRead = "api_keys.read" => ViewApiKeys,
    /// Read billing and invoices.
    BillingRead = "billing.read" => ViewBilling,
    /// Read the audit trail.
    AuditRead = "audit.read" => ViewAuditEvents,
    /// Read webhook endpoints.
    WebhooksRead = "webhooks.read" => ViewWebhooks,
    /// Change webhook endpoints.
    WebhooksWrite = "webhooks.write" => ManageWebhooks,
}

impl TryFrom<String> for Scope {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().to_owned()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_five_marks_and_the_owner_holds_all() {
        for (permission, marks) in MATRIX {
            let columns: Vec<_> = marks.split(' ').collect();
            assert_eq!(columns.len(), COLUMNS.len(), "{permission}");
            assert!(columns.iter().all(|mark| ["x", "-"].contains(mark)), "{permission}");
        }
        assert_eq!(Role::Owner.permissions(), Permission::ALL.iter().copied().collect());
        assert!(Permission::ALL.len() <= 64, "a set is one word");
    }

    #[test]
    fn the_specifications_boundaries_hold() {
        assert!(!Role::Admin.permissions().contains(Permission::ViewBilling));
        assert!(!Role::User.permissions().contains(Permission::InviteUsers));
        assert!(!Role::ReadOnly.permissions().iter().any(|p| !p.as_str().starts_with("View")));
        assert!(!Role::Manager.permissions().contains(Role::Manager.granting_permission()));
        assert!(Role::Manager.permissions().contains(Role::User.granting_permission()));
    }

    #[test]
    fn a_set_round_trips_as_word_and_as_names() {
        let set = Role::Manager.permissions();
        assert_eq!(PermissionSet::from_bits(set.bits()), set);
        let names = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<PermissionSet>(&names).unwrap(), set);
        assert_eq!(PermissionSet::from_bits(u64::MAX), Role::Owner.permissions());
    }
}
