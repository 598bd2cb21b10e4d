//! `nextbest demo`: the whole loop on one machine. Data -> log -> models -> store -> functions -> three answers, and
//! an outcome back in.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nextbest_functions::clock::Clock;
use nextbest_functions::keys::Keys;
use nextbest_models::project::Simulated;
use nextbest_training::event_log::EventLog;
use nextbest_training::import::{Options, Rules};
use nextbest_training::simulate;
use serde::Serialize;

use crate::ask::{Answers, Callers};
use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::load::{self, Loaded};
use crate::serve;
use crate::store::StoreArgs;
use crate::{answer, import, progress, train};

/// What `nextbest demo` takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nextbest demo\n  \
    NEXTBEST_DATA=folder nextbest demo --project examples/retail --once --json")]
pub struct Args {
    /// The project folder; its [demo] says where the data comes from.
    #[arg(long, default_value = "examples/shop")]
    project: PathBuf,
    /// Print the three answers and exit instead of serving on.
    #[arg(long)]
    once: bool,
    /// Print everything as one JSON document; implies --once.
    #[arg(long)]
    json: bool,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The folder that holds the files [demo] names.
    #[arg(long, env = "NEXTBEST_DATA", default_value = ".", value_name = "DIR")]
    data: PathBuf,
    /// Simulate this many customers instead of what [demo] says.
    #[arg(long, value_name = "N")]
    customers: Option<u64>,
}

/// A step of the loop and how long it took.
#[derive(Serialize)]
struct Step {
    name: &'static str,
    seconds: f64,
}

/// Everything the demo did.
#[derive(Serialize)]
struct Report {
    project: String,
    steps: Vec<Step>,
    import: serde_json::Value,
    training: serde_json::Value,
    load: Loaded,
    #[serde(flatten)]
    answers: Answers,
}

/// Runs the steps, telling each as it ends.
struct Teller {
    quiet: bool,
    steps: Vec<Step>,
    begun: Instant,
}

impl Teller {
    #[expect(clippy::disallowed_methods, reason = "the demo tells how long each step took")]
    fn new(quiet: bool) -> Self {
        Self { quiet, steps: Vec::new(), begun: Instant::now() }
    }

    fn tell(&self, text: &str) {
        if !self.quiet {
            say!("{text}");
        }
    }

    /// Ends a step: `told` says what it made.
    fn done(&mut self, name: &'static str, told: &str) {
        let before: f64 = self.steps.iter().map(|step| step.seconds).sum();
        let seconds = self.begun.elapsed().as_secs_f64() - before;
        self.steps.push(Step { name, seconds });
        self.tell(&format!("{name:>9}  {seconds:5.1} s  {told}"));
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// The whole loop.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let mut teller = Teller::new(args.json);
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = runtime.block_on(serve::bind(args.port))?;
    let files = data(args, &folder, &mut teller)?;
    let rules = Rules::from(&folder.project.settings);
    let imported = import::with_bar(rules, &files, &folder.events(), &Options::default())?;
    teller.done("import", &format!("{} rows of {} file(s) into 64 buckets", imported.n_rows, files.len()));
    let log = EventLog::open(folder.events())?;
    let trained = train::train(&folder, &log, None)?;
    teller.done("train", &trained.sentence());
    runtime.block_on(async {
        // A demonstration starts from its own data, whatever an earlier one left.
        remove_store(&folder)?;
        let open = StoreArgs::embedded().open(&folder).await?;
        let loaded = load::load(&folder, &log, &open.store, None).await?;
        teller.done("load", &loaded.sentence(&open.place));
        let (keys, shown) = Keys::generate()?;
        let base = format!("http://{}", listener.local_addr()?);
        let app = serve::app(&folder, &open, keys, Clock::starting_at(loaded.as_of)).await?;
        let server = serve::serve(listener, app, serve::ctrl_c());
        let callers = Callers::new(base.clone(), shown);
        let product = trained.product(&folder)?;
        let asking = async {
            let answers = callers.ask(&product, folder.project.settings.currency.as_str()).await?;
            teller.done("ask", &format!("{base}, clock at {}", loaded.as_of));
            let report = Report {
                project: folder.project.settings.name.clone(),
                steps: std::mem::take(&mut teller.steps),
                import: serde_json::to_value(&imported)?,
                training: serde_json::to_value(&trained)?,
                load: loaded,
                answers,
            };
            let customer = report.answers.customer.clone();
            if args.json {
                say!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                say!("\n{}\n\n{}", trained.table(), answer::tell(&report.answers));
                say!(
                    "first answers after {:.1} s; report: {}",
                    teller.elapsed().as_secs_f64(),
                    trained.page()
                );
            }
            Ok::<String, Failure>(customer)
        };
        tokio::pin!(server);
        let customer = tokio::select! {
            asked = asking => asked?,
            served = &mut server => return served,
        };
        if args.once || args.json {
            return Ok(());
        }
        say!("{}", answer::invitation(&base, callers.keys(), &product, &customer));
        server.await
    })
}

/// The files of the project's `[demo]`: simulated now, or found in the data folder.
fn data(args: &Args, folder: &Folder, teller: &mut Teller) -> Result<Vec<PathBuf>, Failure> {
    let rules = &folder.project.settings.demo;
    if let Some(simulated) = rules.simulate {
        let customers = args.customers.unwrap_or(simulated.customers);
        let (path, told) = simulate(folder, Simulated { customers, ..simulated })?;
        teller.done("simulate", &told);
        return Ok(vec![path]);
    }
    let files: Vec<PathBuf> = rules.files.iter().map(|file| args.data.join(file)).collect();
    if files.is_empty() {
        return Err(Failure::call(
            "nextbest.toml has no [demo]: say `simulate` or `files` there, or import your own",
        ));
    }
    match files.iter().find(|file| !file.is_file()) {
        Some(missing) => Err(Failure::call(format!(
            "{} is not there: name the folder that holds it with --data or NEXTBEST_DATA",
            missing.display()
        ))),
        None => Ok(files),
    }
}

fn simulate(folder: &Folder, rules: Simulated) -> Result<(PathBuf, String), Failure> {
    let start = simulate::DEFAULT_START.parse()?;
    let options =
        simulate::Options::new(rules.customers, rules.days, rules.seed, start).map_err(Failure::call)?;
    let out = folder.dir.join("data/simulated");
    let bar = progress::bar(rules.customers, "simulating customers");
    let currency = folder.project.settings.currency;
    let summary = simulate::write(&options, currency, &out, true, &|n_done| bar.set_position(n_done))?;
    bar.finish_and_clear();
    let told = format!(
        "{} customers over {} days, seed {}: {} events",
        rules.customers, rules.days, rules.seed.0, summary.counts.n_events
    );
    Ok((out.join("events.parquet"), told))
}

fn remove_store(folder: &Folder) -> Result<(), Failure> {
    let database = folder.database();
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
