#[path = "../tests/support/generated.rs"]
mod generated;
use generated::*;
fn main() {
    for share in [1u32, 100, 900] {
        let f = std::fs::File::create(format!("/dev/shm/scan-{share}.log")).unwrap();
        let mut w = std::io::BufWriter::with_capacity(1<<20, f);
        println!("{share} {:?}", write_log(&mut w, Plan{bytes: 500_000_000, attacks_per_mille: share, lines_per_second: 1000}).unwrap());
    }
}
