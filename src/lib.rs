pub mod model;
pub mod generate;
