//! Without a bug nothing is reported, however many plans run at once.

use gainsay::campaign::Options;

use crate::demo;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_server_holds() {
    let model = demo::model();
    for (jobs, seeds) in [(1, 0..25), (8, 0..100)] {
        let options = Options {
            seeds,
            jobs,
            ..Default::default()
        };
        let report = demo::campaign(&model, &[], options).await;
        assert!(report.held(), "{jobs} jobs: {:?}", report.failures());
        assert_eq!(report.inconclusive, 0);
    }
}
