//! `pytake-workers`: does the jobs that wait in Postgres. Any number of processes may run, each for all
//! queues or for some. `pytake-workers jobs` repairs them.

use std::process::ExitCode;

use workers::register::REGISTER;
use workers::schedules::SCHEDULES;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    workers::program::main(&REGISTER, &SCHEDULES)
}
