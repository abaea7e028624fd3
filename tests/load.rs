#[test]
fn shipped_models_load() {
    for path in std::fs::read_dir("models").unwrap() {
        let path = path.unwrap().path();
        match gainsay::model::Model::load(&path) {
            Ok(m) => println!("{} rules", m.rules.len()),
            Err(gainsay::model::LoadError::Model(e)) => println!("{}\n{}", e, e.render(false, 120)),
            Err(e) => panic!("{e}"),
        }
    }
}
