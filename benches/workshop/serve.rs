//! The workshop as a program, for peers that are not written in Rust. In: `--bug A --port 0 --noise 0.003 --seed 1
//! --latency-ms 20`, all optional. Out: its address on the first line; then it serves until it is stopped.
//!
//! Not named `main.rs`: cargo would take `benches/workshop/main.rs` for a bench of its own.

mod server;

use std::error::Error;
use std::time::Duration;

use server::{Options, serve_with};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = read(std::env::args().skip(1))?;
    let workshop = serve_with(options).await?;
    println!("http://{}", workshop.addr);
    workshop.wait().await?;
    Ok(())
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} takes a value"))?;
        match flag.as_str() {
            "--bug" => options.bugs = value.parse()?,
            "--port" => options.port = value.parse()?,
            "--noise" => options.noise = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--latency-ms" => options.latency = Duration::from_millis(value.parse()?),
            other => {
                return Err(format!(
                    "there is no {other}: --bug, --port, --noise, --seed, --latency-ms"
                )
                .into());
            }
        }
    }
    Ok(options)
}
