//! A PostgreSQL of a test's own, which goes with it.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// In URLs, and as it is: with what a URL must escape.
pub const PASSWORD: (&str, &str) = ("p%40ss%2Fw%3Ard", "p@ss/w:rd");

/// A server, and the folder that it has everything in.
pub struct Postgres {
    folder: TempDir,
    server: Child,
    pub port: u16,
}

impl Postgres {
    /// A server with an empty cluster; nothing where PostgreSQL is not installed and this is not CI.
    pub fn start() -> Option<Postgres> {
        let programs = match programs() {
            Ok(programs) => programs,
            Err(why) => {
                assert!(std::env::var_os("CI").is_none(), "no PostgreSQL: {why}");
                println!("skipped: {why}");
                return None;
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("gainsay-postgres-")
            .tempdir()
            .unwrap();
        let secret = folder.path().join("password");
        std::fs::write(&secret, PASSWORD.1).unwrap();
        if let Some((user, group)) = other_user() {
            for path in [folder.path(), &secret] {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        // A collation that does not compare bytes: the server must not depend on it.
        let made = program(&programs.join("initdb"), folder.path())
            .args(["--pgdata=data", "--username=demo", "--auth=scram-sha-256"])
            .args(["--pwfile=password", "--encoding=UTF8", "--locale=C"])
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {made:?}");
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let server = program(&programs.join("postgres"), folder.path())
            .args(["-D", "data", "-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(["-c", "unix_socket_directories=.", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut postgres = Postgres {
            folder,
            server,
            port,
        };
        postgres.wait();
        Some(postgres)
    }

    /// The server writes its state in the last line of this file.
    fn wait(&mut self) {
        let state = self.folder.path().join("data/postmaster.pid");
        let began = Instant::now();
        while !std::fs::read_to_string(&state)
            .is_ok_and(|state| state.lines().last().map(str::trim) == Some("ready"))
        {
            let ended = self.server.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                panic!("PostgreSQL does not start ({ended:?}): {log:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let (password, port) = (PASSWORD.0, self.port);
        format!("postgres://demo:{password}@127.0.0.1:{port}/{database}")
    }
}

impl Drop for Postgres {
    /// At once, with all of its processes; the folder goes after it.
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-s", "QUIT", &self.server.id().to_string()])
            .status();
        let began = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.server.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A port of this machine that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The folder of PostgreSQL's programs: one of the PATH, or the newest of those that Debian keeps apart.
fn programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|v| v.path()).collect())
        .unwrap_or_default();
    debian.sort_by_key(|version| {
        let name = version.file_name().unwrap_or_default().to_string_lossy();
        std::cmp::Reverse(name.parse::<u32>().unwrap_or(0))
    });
    let found = std::env::split_paths(&path)
        .chain(debian.iter().map(|version| version.join("bin")))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .ok_or("`initdb` is neither in the PATH nor in /usr/lib/postgresql/*/bin; apt-get install postgresql")?;
    if is_root() && other_user().is_none() {
        return Err("PostgreSQL does not run as root, and there is no user `postgres`".to_owned());
    }
    Ok(found)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group to run as when this is root, which PostgreSQL refuses to.
fn other_user() -> Option<(u32, u32)> {
    let id = |what: &str| {
        let output = Command::new("id").args([what, "postgres"]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    is_root().then(|| Some((id("-u")?, id("-g")?)))?
}

fn program(path: &Path, folder: &Path) -> Command {
    let mut command = match other_user() {
        // It replaces itself with the program, which ends with this test even when the test is killed.
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .args([format!("--reuid={user}"), format!("--regid={group}")])
                .args(["--clear-groups", "--pdeathsig", "QUIT", "--"])
                .arg(path);
            command
        }
        None => Command::new(path),
    };
    command.current_dir(folder);
    command
}
