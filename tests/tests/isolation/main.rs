//! One tenant at a time: what the database's catalogue must say, what the roles can do in it, and what the
//! edge answers to those who come with another tenant's credentials.

mod catalogue;
mod endpoints;
mod roles;
mod rows;
