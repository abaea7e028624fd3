//! How many steps a second are made, on one core, with the rehearsal that making them takes. BARS.md says how many it
//! must be.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gainsay::generate::{Generator, Options, needed_accounts};
use gainsay::model::Model;

// What the binary allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn generation(c: &mut Criterion) {
    for name in ["deep-sci-fi", "kinto"] {
        let path = format!("models/{name}.yaml");
        let model = Arc::new(Model::load(path.as_ref()).expect("the model is valid"));
        let options = Options {
            accounts: needed_accounts(&model),
            ..Options::default()
        };
        let generator = Generator::new(model.clone(), options.clone());
        let steps = generator.plan(0).len() as u64;
        let mut group = c.benchmark_group("generation");
        group.throughput(Throughput::Elements(steps));
        let mut seed = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                seed += 1;
                black_box(generator.plan(seed))
            });
        });
        group.finish();
        let mut group = c.benchmark_group("learning");
        group.sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| black_box(Generator::new(model.clone(), options.clone())));
        });
        group.finish();
    }
}

criterion_group!(benches, generation);
criterion_main!(benches);
