//! What still works while a part is away, and that all is well when it comes back.

mod api;
mod edges;
mod postgres;
mod redis;
mod workers;
