pub mod model;
pub mod generate;
pub mod demo;
pub mod drive;
pub mod check;
pub mod shrink;
pub mod report;
