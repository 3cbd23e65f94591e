//! What is proven of the whole: the script against its model, and the fleet against the promised bound.

mod model;
mod simulation;
