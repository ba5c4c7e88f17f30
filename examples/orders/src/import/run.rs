//! An import from beginning to end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use messina::Aggregate;
use messina::import::ImportProgress;

use crate::domain::Order;
use crate::import::ImportArguments;
use crate::service::{self, ServiceError};

/// Imports the file, tells once a second how far it is, and in the end what was done.
///
/// # Errors
/// Which line cannot be imported, and why; a database or a file that is not there.
pub async fn run(arguments: ImportArguments) -> Result<(), ServiceError> {
    let input = open(&arguments.file)?;
    let session = service::connect(&arguments.database.scylla).await?;
    let store = service::open(session, &arguments.database.keyspace).await?;
    let done = store
        .import(input)
        .aggregate_type(Order::TYPE)
        .aggregate::<Order>()
        .parallel(arguments.parallel.into())
        .patience(arguments.patience)
        .on_progress(|progress| eprintln!("{}", describe(progress)))
        .run()
        .await?;
    println!("imported: {}", describe(&done));
    Ok(())
}

fn describe(progress: &ImportProgress) -> String {
    format!(
        "{} lines of {} aggregates read, {} events written, {} stored before, {:.0}/s, {:.1} s",
        progress.lines,
        progress.aggregates,
        progress.written,
        progress.skipped,
        progress.rate(),
        progress.elapsed.as_secs_f64()
    )
}

fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, ServiceError> {
    let file = File::open(path)
        .map_err(|source| ServiceError::Unreadable { path: path.to_owned(), source })?;
    let file = BufReader::with_capacity(1 << 16, file);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        // A file may be several compressed ones in a row.
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}
