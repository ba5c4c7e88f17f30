//! `schema`: apply, verify.

use super::arguments::SchemaCommand;
use crate::cli::connect::connect;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output;
use crate::cli::service::Service;
use crate::cli::settings::Settings;

pub(super) async fn run(
    command: SchemaCommand,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let session = connect(settings).await?;
    let keyspace = settings.text("keyspace");
    let schema = service.schema(keyspace);
    match command {
        SchemaCommand::Apply => {
            let applied = schema.apply(&session).await?;
            for (component, version, name) in &applied.migrations {
                output::line(&format!("applied {component} {version:04} {name}"))?;
            }
            for what in &applied.levelled {
                output::line(what)?;
            }
            output::line(&format!(
                "keyspace {keyspace}: {} applied, {} had been",
                applied.migrations.len(),
                applied.already
            ))?;
            Ok(Outcome::Well)
        }
        SchemaCommand::Verify => {
            let differences = schema.verify(&session).await?;
            for difference in &differences {
                output::line(&difference.to_string())?;
            }
            if differences.is_empty() {
                output::line(&format!("keyspace {keyspace} is as it should be"))?;
                return Ok(Outcome::Well);
            }
            Ok(Outcome::Findings)
        }
    }
}
