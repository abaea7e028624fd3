//! `gainsay.toml`: what it can say, and what is said of one that is wrong, with the exact text.

use std::path::Path;
use std::time::Duration;

use gainsay::drive::{Config, ConfigError, Ready, Run};
use gainsay::model::Model;
use gainsay::model::value::{Handle, KindId, Value};

const MODEL: &str = r#"
model: notes
entities:
  user:
    fields: { name: string, password: secret, age: int, score: number, admin: bool, friend: user?, extra: json }
    auth: { basic: { username: "${self.name}", password: "${self.password}" } }
  note:
    fields: { id: string, author: user }
rules:
  write:
    by: user
    request: POST /notes
    responds: 201
    creates:
      note: { id: "${body.id}", author: "${actor}" }
"#;

fn model() -> Model {
    Model::parse("notes.yaml", MODEL).unwrap_or_else(|e| panic!("{}", e.render(false, 100)))
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("conf/gainsay.toml"), text)
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn rendered(error: &ConfigError) -> String {
    match error {
        ConfigError::Mistakes(mistakes) => format!("{mistakes}\n{}", mistakes.render(false, 100)),
        other => other.to_string(),
    }
}

fn wrong(text: &str) -> String {
    rendered(&parse(text).unwrap_err())
}

#[test]
fn a_target_says_all_that_it_can() {
    let config = parse(
        r#"
        [target.staging]
        url = "https://staging.example.com/base"
        allow_remote = true
        rate = 20
        timeout = "1m 30s"
        headers = { X-Tenant = "qa", Authorization = { env = "STAGING_TOKEN" } }

        [target.other]
        url = "https://example.com"

        [target.local]
        url = "http://127.0.0.1:8000"
        serve = "python app.py --port 8000"
        env = { DATABASE = "test.db", KEY = { env = "LOCAL_KEY" } }
        directory = "../server"
        ready = "GET /health"
        ready_within = "5s"

        [target.list]
        url = "http://localhost:8000"
        serve = ["python", "app.py"]
        "#,
    )
    .unwrap();
    let environment = |name: &str| Some(format!("the {name}"));

    let staging = config.target("staging").unwrap();
    assert_eq!(staging.url, "https://staging.example.com/base");
    assert!(staging.allow_remote);
    assert_eq!(
        (staging.rate, staging.timeout),
        (Some(20.0), Duration::from_secs(90))
    );
    let headers = [("X-Tenant", "qa"), ("Authorization", "the STAGING_TOKEN")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(staging.headers(&environment).unwrap(), headers);
    assert!(staging.serve(&environment).unwrap().is_none());

    let other = config.target("other").unwrap();
    assert!(!other.allow_remote);
    assert_eq!(
        (other.rate, other.timeout),
        (Some(10.0), Duration::from_secs(30))
    );

    let local = config.target("local").unwrap();
    assert_eq!(local.rate, None);
    let serve = local.serve(&environment).unwrap().unwrap();
    assert_eq!(serve.run, Run::Shell("python app.py --port 8000".into()));
    assert_eq!(serve.directory, Path::new("conf/../server"));
    let health = Ready {
        method: "GET".into(),
        path: "/health".into(),
    };
    assert_eq!(
        (serve.ready, serve.ready_within),
        (Some(health), Duration::from_secs(5))
    );
    let env = [("DATABASE", "test.db"), ("KEY", "the LOCAL_KEY")];
    assert_eq!(
        serve.env,
        env.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );

    let list = config
        .target("list")
        .unwrap()
        .serve(&environment)
        .unwrap()
        .unwrap();
    assert_eq!(
        list.run,
        Run::Program("python".into(), vec!["app.py".into()])
    );
    assert_eq!(
        (list.directory.as_path(), list.ready),
        (Path::new("conf"), None)
    );
    assert_eq!(list.ready_within, Duration::from_secs(30));
}

#[test]
fn a_target_that_is_not_there() {
    let config = parse("[target.staging]\nurl = \"http://localhost\"").unwrap();
    insta::assert_snapshot!(config.target("stagign").unwrap_err(), @"conf/gainsay.toml has no target `stagign`; did you mean `staging`?");
    insta::assert_snapshot!(config.target("x").unwrap_err(), @"conf/gainsay.toml has no target `x`; it has `staging`");
    insta::assert_snapshot!(parse("").unwrap().target("x").unwrap_err(), @"conf/gainsay.toml has no target `x`; it has none at all: add `[target.x]` with a `url`");
}

#[test]
fn files_are_found_or_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Config::find(folder.path()).unwrap().is_none());
    let path = folder.path().join("gainsay.toml");
    std::fs::write(
        &path,
        "[target.a]\nurl = \"http://localhost\"\nserve = \"./run\"\n",
    )
    .unwrap();
    let config = Config::find(folder.path()).unwrap().unwrap();
    assert_eq!(config.path, path);
    let serve = config
        .target("a")
        .unwrap()
        .serve(&nothing)
        .unwrap()
        .unwrap();
    assert_eq!(serve.directory, folder.path());
    std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
    assert!(matches!(
        Config::load(&path),
        Err(ConfigError::TooLarge { .. })
    ));
    assert!(matches!(
        Config::load(folder.path()),
        Err(ConfigError::Read { .. })
    ));
}

#[test]
fn accounts_fill_the_mirror() {
    let config = parse(
        r#"
        [target.a]
        url = "http://localhost"
        [[target.a.accounts.user]]
        name = "alice"
        password = { env = "ALICE" }
        age = { env = "AGE" }
        score = 2.5
        admin = true
        [[target.a.accounts.user]]
        name = "bob"
        extra = 7
        "#,
    )
    .unwrap();
    let (target, model) = (config.target("a").unwrap(), model());
    let user = KindId(0);
    assert_eq!(target.accounts(&model).unwrap(), [(user, 2)]);

    let environment = |name: &str| match name {
        "ALICE" => Some("wonder".to_owned()),
        "AGE" => Some("30".to_owned()),
        _ => None,
    };
    let mirror = target.account_mirror(&model, &environment).unwrap();
    let fields = |nth| {
        let handle = Handle {
            kind: user,
            step: 0,
            nth,
        };
        mirror.get(handle).unwrap().fields.to_vec()
    };
    let unknown = || Value::Unknown;
    let alice = [
        "alice".into(),
        "wonder".into(),
        Value::Int(30),
        Value::Number(2.5.into()),
        true.into(),
    ];
    assert_eq!(fields(0)[..5], alice);
    assert_eq!(fields(0)[5..], [unknown(), unknown()]);
    let bob = [
        "bob".into(),
        unknown(),
        unknown(),
        unknown(),
        unknown(),
        unknown(),
        Value::Int(7),
    ];
    assert_eq!(fields(1), bob);
    assert_eq!(mirror.len(), 2);

    let error = target.account_mirror(&model, &nothing).unwrap_err();
    insta::assert_snapshot!(error, @"`password` of user 1 of the target a comes from the environment, but ALICE is not set; set it, or change conf/gainsay.toml");
    let old = |_: &str| Some("old".to_owned());
    insta::assert_snapshot!(target.account_mirror(&model, &old).unwrap_err(), @"`age` of user 1 of the target a is `int` in the model, but the value of AGE is not; correct one of them");
}

#[test]
fn accounts_that_do_not_fit_the_model() {
    let config = parse(
        r#"
[target.a]
url = "http://localhost"
[[target.a.accounts.users]]
name = "alice"
[[target.a.accounts.note]]
id = "1"
[[target.a.accounts.user]]
nmae = "bob"
password = 1234
age = "30"
friend = "alice"
"#,
    )
    .unwrap();
    let error = config.target("a").unwrap().accounts(&model()).unwrap_err();
    insta::assert_snapshot!(rendered(&error), @r#"
    conf/gainsay.toml: 6 mistakes
      × the model notes has no entity `users`
       ╭─[conf/gainsay.toml:4:21]
     3 │ url = "http://localhost"
     4 │ [[target.a.accounts.users]]
       ·                     ──┬──
       ·                       ╰── here
     5 │ name = "*****"
       ╰────
      help: did you mean `user`?
      × `note` has no `auth` in the model, so it cannot act
       ╭─[conf/gainsay.toml:6:21]
     5 │ name = "*****"
     6 │ [[target.a.accounts.note]]
       ·                     ──┬─
       ·                       ╰── here
     7 │ id = "*"
       ╰────
      help: give accounts of `user`
      × `user` has no field `nmae` in the model
        ╭─[conf/gainsay.toml:9:1]
      8 │ [[target.a.accounts.user]]
      9 │ nmae = "***"
        · ──┬─
        ·   ╰── here
     10 │ password = ****
        ╰────
      help: did you mean `name`?
      × `password` is `secret` in the model, and this is not
        ╭─[conf/gainsay.toml:10:12]
      9 │ nmae = "***"
     10 │ password = ****
        ·            ──┬─
        ·              ╰── here
     11 │ age = "**"
        ╰────
      help: write it in quotes
      × `age` is `int` in the model, and this is not
        ╭─[conf/gainsay.toml:11:7]
     10 │ password = ****
     11 │ age = "**"
        ·       ──┬─
        ·         ╰── here
     12 │ friend = "*****"
        ╰────
      help: write it as `int`, without quotes
      × `friend` is `user?` in the model, which an account cannot give
        ╭─[conf/gainsay.toml:12:1]
     11 │ age = "**"
     12 │ friend = "*****"
        · ───┬──
        ·    ╰── here
        ╰────
      help: leave it out; it stays unknown until an answer tells it
    "#);
}

#[test]
fn a_variable_without_a_value() {
    let text =
        "[target.a]\nurl = \"http://localhost\"\nheaders = { Authorization = { env = \"TOKEN\" } }";
    let config = parse(text).unwrap();
    let target = config.target("a").unwrap();
    insta::assert_snapshot!(target.headers(&nothing).unwrap_err(), @"the header Authorization of the target a comes from the environment, but TOKEN is not set; set it, or change conf/gainsay.toml");
    insta::assert_snapshot!(target.headers(&|_| Some(String::new())).unwrap_err(), @"the header Authorization of the target a comes from the environment, but TOKEN is empty; set it, or change conf/gainsay.toml");
}

#[test]
fn every_mistake_is_found_at_once() {
    insta::assert_snapshot!(wrong(r#"
targets = 1
[target.a]
ulr = "http://localhost"
rate = "20"
timeout = 30
allow_remote = "yes"
serve = []
ready = "/health"
[target.b]
url = "localhost:8000"
ready = "GET /health"
[target.c]
url = "https://alice:pa55@example.com"
headers = { "X Y" = "a", Z = 3, W = { evn = "TOKEN" }, V = "a\nb", U = { env = "A B" } }
accounts.user = { name = "alice" }
[target]
d = "http://localhost"
"#), @r#"
    conf/gainsay.toml: 19 mistakes
      × unknown key `targets`
       ╭─[conf/gainsay.toml:2:1]
     1 │ 
     2 │ targets = *
       · ───┬───
       ·    ╰── here
     3 │ [target.a]
       ╰────
      help: did you mean `target`?
      × the target `a` has no `url`
       ╭─[conf/gainsay.toml:3:9]
     2 │ targets = *
     3 │ [target.a]
       ·         ┬
       ·         ╰── here
     4 │ ulr = "****************"
       ╰────
      help: add one, such as `url = "http://127.0.0.1:8000"`
      × unknown key `ulr`
       ╭─[conf/gainsay.toml:4:1]
     3 │ [target.a]
     4 │ ulr = "****************"
       · ─┬─
       ·  ╰── here
     5 │ rate = "20"
       ╰────
      help: a target has `url`, `headers`, `accounts`, `auth_wfc`, `allow_remote`, `rate`, `timeout`,
            `quiet`, `serve`, `env`, `directory`, `ready`, `ready_within`, `links`, `toxiproxy`,
            `hooks`, `injector`, `startup`, `run_header`, `cleanup`
      × `rate` cannot have this value
       ╭─[conf/gainsay.toml:5:8]
     4 │ ulr = "****************"
     5 │ rate = "20"
       ·        ──┬─
       ·          ╰── here
     6 │ timeout = 30
       ╰────
      help: it is requests a second, a number above 0, such as 20
      × `timeout` cannot have this value
       ╭─[conf/gainsay.toml:6:11]
     5 │ rate = "20"
     6 │ timeout = 30
       ·           ─┬
       ·            ╰── here
     7 │ allow_remote = "yes"
       ╰────
      help: it is a time with its unit, in quotes, such as "30s" or "500ms"
      × `allow_remote` cannot have this value
       ╭─[conf/gainsay.toml:7:16]
     6 │ timeout = 30
     7 │ allow_remote = "yes"
       ·                ──┬──
       ·                  ╰── here
     8 │ serve = []
       ╰────
      help: it is true or false, without quotes
      × this is no command
       ╭─[conf/gainsay.toml:8:9]
     7 │ allow_remote = "yes"
     8 │ serve = []
       ·         ─┬
       ·          ╰── here
     9 │ ready = "/health"
       ╰────
      help: write a line for the shell, "python app.py --port 8000", or a list, ["python", "app.py"]
      × this is no method and path
        ╭─[conf/gainsay.toml:9:9]
      8 │ serve = []
      9 │ ready = "/health"
        ·         ────┬────
        ·             ╰── here
     10 │ [target.b]
        ╰────
      help: write both, such as "GET /health"; the path is below that of the `url`
      × this is no address of a target
        ╭─[conf/gainsay.toml:11:7]
     10 │ [target.b]
     11 │ url = "localhost:8000"
        ·       ────────┬───────
        ·               ╰── here
     12 │ ready = "GET /health"
        ╰────
      help: write it with its scheme, such as "http://127.0.0.1:8000"
      × `ready` means nothing without `serve` or `hooks`
        ╭─[conf/gainsay.toml:12:1]
     11 │ url = "localhost:8000"
     12 │ ready = "GET /health"
        · ──┬──
        ·   ╰── here
     13 │ [target.c]
        ╰────
      help: add `serve = "COMMAND"` to have gainsay start the server, or leave this out
      × credentials in an address would be shown
        ╭─[conf/gainsay.toml:14:7]
     13 │ [target.c]
     14 │ url = "******************************"
        ·       ────────────────┬───────────────
        ·                       ╰── here
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ╰────
      help: send them with `headers = { Authorization = { env = "NAME" } }`
      × `X Y` cannot be the name of a header
        ╭─[conf/gainsay.toml:15:13]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·             ──┬──
        ·               ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: letters, digits and `-` make one
      × `Z` cannot be an integer
        ╭─[conf/gainsay.toml:15:30]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·                              ┬
        ·                              ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: write a value in quotes, or `{ env = "NAME" }` to take it from the environment
      × `W` has no value
        ╭─[conf/gainsay.toml:15:33]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·                                 ┬
        ·                                 ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: write it in quotes, or `{ env = "NAME" }` to take it from the environment
      × unknown key `evn`
        ╭─[conf/gainsay.toml:15:39]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·                                       ─┬─
        ·                                        ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: only `env` can stand here
      × a header cannot have this value: it holds control characters
        ╭─[conf/gainsay.toml:15:60]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·                                                            ───┬──
        ·                                                               ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: take out what is not printable, such as a line break at its end
      × this cannot be the name of an environment variable
        ╭─[conf/gainsay.toml:15:80]
     14 │ url = "******************************"
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
        ·                                                                                ──┬──
        ·                                                                                  ╰── here
     16 │ accounts.user = { name = "*****" }
        ╰────
      help: letters, digits and `_` make one, such as STAGING_TOKEN
      × `user` is no list of accounts
        ╭─[conf/gainsay.toml:16:10]
     15 │ headers = { "X Y" = "*", Z = *, W = { evn = "*****" }, V = "****", U = { env = "* *" } }
     16 │ accounts.user = { name = "*****" }
        ·          ──┬─
        ·            ╰── here
     17 │ [target]
        ╰────
      help: write `[[target.c.accounts.user]]`, in double brackets, before each account
      × `d` cannot have this value
        ╭─[conf/gainsay.toml:18:5]
     17 │ [target]
     18 │ d = "****************"
        ·     ─────────┬────────
        ·              ╰── here
        ╰────
      help: it is a table, `[target.NAME]`, with a `url`
    "#);
}

#[test]
fn what_is_no_toml_is_shown_where_it_stops() {
    insta::assert_snapshot!(wrong("[target.a]\nurl = http://localhost\nserve = \"run\n"), @r#"
    conf/gainsay.toml: 2 mistakes
      × string values must be quoted, expected literal string
       ╭─[conf/gainsay.toml:2:7]
     1 │ [target.a]
     2 │ url = http://localhost
       ·       ────────┬───────
       ·               ╰── here
     3 │ serve = "***
       ╰────
      help: correct the TOML here: texts stand in quotes, tables in `[…]`
      × invalid basic string, expected `"`
       ╭─[conf/gainsay.toml:3:13]
     2 │ url = http://localhost
     3 │ serve = "***
       ·             ┬
       ·             ╰── here
       ╰────
      help: correct the TOML here: texts stand in quotes, tables in `[…]`
    "#);
    insta::assert_snapshot!(wrong("[target.a]\nurl = \"http://a\"\nurl = \"http://b\"\n"), @r#"
    conf/gainsay.toml: 1 mistake
      × duplicate key
       ╭─[conf/gainsay.toml:3:1]
     2 │ url = "http://a"
     3 │ url = "http://b"
       · ─┬─
       ·  ╰── here
       ╰────
      help: name each target, and each key of a table, once
    "#);
}

#[test]
fn secrets_are_not_shown() {
    let values = "headers = { A = \"hush-1\", B = { env = \"hush-2\" } }\n# C = \"hush-3\"\nenv = { D = 'hush-4' }";
    let accounts =
        "[[target.a.accounts.user]]\nname = 'hush-5'\nurl = 'hush-6'\nextra = '''\nhush-7 '''\n";
    let start = "[target.a]\nurl = \"http://localhost\"\n";
    let sound = format!("{start}serve = 'run'\n{values}\n{accounts}");
    let config = parse(&sound).unwrap();
    assert!(!format!("{config:?}").contains("hush-1"));
    for hidden in ["hush-3", "hush-4", "hush-5", "hush-6", "hush-7"] {
        assert!(!format!("{config:?}").contains(hidden), "{config:?}");
    }
    for broken in [
        sound.replace("headers", "haeders"),
        sound.replace("A =", "A B ="),
        sound.replace("'hush-4'", "'hush-4"),
        sound.replace("hush-1\"", "hush-1"),
        sound.replace("accounts.user]]", "accounts.user]"),
        sound.replace("'run'", "3"),
        format!("{sound}= 3"),
        format!("{start}url = \"http://hush-8@localhost\"\n"),
        format!("{start}timeout = {{ a = 'hush-9' }}\n"),
        format!("{start}rate = ['hush-10']\n"),
    ] {
        let shown = wrong(&broken);
        assert!(!shown.contains("hush"), "{shown}");
    }
    let error = config.target("a").unwrap().accounts(&model()).unwrap_err();
    assert!(!rendered(&error).contains("hush"), "{}", rendered(&error));
}

#[test]
fn links_and_hooks_say_where_and_what() {
    let config = parse(
        r#"
        [target.local]
        url = "http://127.0.0.1:8000"
        toxiproxy = "http://127.0.0.1:8474"
        hooks = { crash = "docker kill api", restart = ["docker", "start", "api"] }
        ready = "GET /health"
        directory = "../server"

        [target.local.links.database]
        listen = "127.0.0.1:15432"
        upstream = "db.internal:5432"
        "#,
    )
    .unwrap();
    let local = config.target("local").unwrap();
    let (name, link) = local.links.first_key_value().unwrap();
    assert_eq!(name.as_str(), "database");
    assert_eq!(link.listen.to_string(), "127.0.0.1:15432");
    assert_eq!(link.upstream, "db.internal:5432");
    assert_eq!(local.toxiproxy.as_ref().unwrap().port(), Some(8474));
    let hooks = local.hooks.as_ref().unwrap();
    assert_eq!(hooks.crash, Some(Run::Shell("docker kill api".into())));
    let restart = ["start".to_owned(), "api".to_owned()].to_vec();
    assert_eq!(hooks.restart, Some(Run::Program("docker".into(), restart)));
    assert_eq!(hooks.ready.as_ref().unwrap().path, "/health");
    assert_eq!(hooks.directory, Path::new("conf/../server"));
    assert_eq!(hooks.pause, None);
}

#[test]
fn wrong_links_and_hooks_are_explained() {
    insta::assert_snapshot!(wrong(
        r#"
[target.one]
url = "http://127.0.0.1:8000"
hooks = { crash = "kill 1", puse = "kill -STOP 1", pause = "" }
serve = "run"
links.database = { listen = "0.0.0.0:5432", upsteam = "127.0.0.1:5432" }
links.cache = { listen = "127.0.0.1:16379", upstream = "6379" }
links.a_name_that_is_longer_than_any_that_is_needed = { listen = "127.0.0.1:1", upstream = "a:1" }
links.queue = "127.0.0.1:5672"
"#
    ), @r#"
    conf/gainsay.toml: 10 mistakes
      × `hooks` and `serve` cannot stand beside each other
       ╭─[conf/gainsay.toml:4:1]
     3 │ url = "http://127.0.0.1:8000"
     4 │ hooks = { crash = "**** *", puse = "**** ***** *", pause = "" }
       · ──┬──
       ·   ╰── here
     5 │ serve = "***"
       ╰────
      help: gainsay kills and starts the server that `serve` starts by itself; leave one of them out
      × the hook `crash` needs the hook `restart`
       ╭─[conf/gainsay.toml:4:1]
     3 │ url = "http://127.0.0.1:8000"
     4 │ hooks = { crash = "**** *", puse = "**** ***** *", pause = "" }
       · ──┬──
       ·   ╰── here
     5 │ serve = "***"
       ╰────
      help: what is done to the server has to be undone
      × unknown key `puse`
       ╭─[conf/gainsay.toml:4:29]
     3 │ url = "http://127.0.0.1:8000"
     4 │ hooks = { crash = "**** *", puse = "**** ***** *", pause = "" }
       ·                             ──┬─
       ·                               ╰── here
     5 │ serve = "***"
       ╰────
      help: did you mean `pause`?
      × this is no command
       ╭─[conf/gainsay.toml:4:60]
     3 │ url = "http://127.0.0.1:8000"
     4 │ hooks = { crash = "**** *", puse = "**** ***** *", pause = "" }
       ·                                                            ─┬
       ·                                                             ╰── here
     5 │ serve = "***"
       ╰────
      help: write a line for the shell, "python app.py --port 8000", or a list, ["python", "app.py"]
      × the link `database` has no `upstream`
       ╭─[conf/gainsay.toml:6:7]
     5 │ serve = "***"
     6 │ links.database = { listen = "************", upsteam = "**************" }
       ·       ────┬───
       ·           ╰── here
     7 │ links.cache = { listen = "***************", upstream = "****" }
       ╰────
      help: a link listens at one address and leads to another: `listen = "127.0.0.1:15432"`,
            `upstream = "127.0.0.1:5432"`
      × `listen` cannot have this value
       ╭─[conf/gainsay.toml:6:29]
     5 │ serve = "***"
     6 │ links.database = { listen = "************", upsteam = "**************" }
       ·                             ───────┬──────
       ·                                    ╰── here
     7 │ links.cache = { listen = "***************", upstream = "****" }
       ╰────
      help: it is where the link listens, an address of this machine with a port, such as
            "127.0.0.1:15432"
      × unknown key `upsteam`
       ╭─[conf/gainsay.toml:6:45]
     5 │ serve = "***"
     6 │ links.database = { listen = "************", upsteam = "**************" }
       ·                                             ───┬───
       ·                                                ╰── here
     7 │ links.cache = { listen = "***************", upstream = "****" }
       ╰────
      help: did you mean `upstream`?
      × `upstream` cannot have this value
       ╭─[conf/gainsay.toml:7:56]
     6 │ links.database = { listen = "************", upsteam = "**************" }
     7 │ links.cache = { listen = "***************", upstream = "****" }
       ·                                                        ───┬──
       ·                                                           ╰── here
     8 │ links.a_name_that_is_longer_than_any_that_is_needed = { listen = "***********", upstream = "***" }
       ╰────
      help: it is where the link leads, a host with a port, such as "127.0.0.1:5432"
      × the name of this link is too long
       ╭─[conf/gainsay.toml:8:7]
     7 │ links.cache = { listen = "***************", upstream = "****" }
     8 │ links.a_name_that_is_longer_than_any_that_is_needed = { listen = "***********", upstream = "***" }
       ·       ──────────────────────┬──────────────────────
       ·                             ╰── here
     9 │ links.queue = "**************"
       ╰────
      help: 32 letters are enough for a name such as `database`
      × `queue` cannot have this value
       ╭─[conf/gainsay.toml:9:15]
     8 │ links.a_name_that_is_longer_than_any_that_is_needed = { listen = "***********", upstream = "***" }
     9 │ links.queue = "**************"
       ·               ────────┬───────
       ·                       ╰── here
       ╰────
      help: it is a table with `listen` and `upstream`
    "#);
}

#[test]
fn start_up_rules() {
    let text = r#"
[target.a]
url = "http://localhost:8000"
serve = "true"
env = { KEY = "k", PLACE = "x" }
startup.without_key = { unset = ["KEY"], starts = false }
startup.elsewhere = { env = { PLACE = { env = "OTHER" } }, starts = true }
"#;
    let config = parse(text).unwrap();
    let environment = |name: &str| (name == "OTHER").then(|| "y".to_owned());
    let rules = config.target("a").unwrap().startup(&environment).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let [without_key, elsewhere] = &rules[..] else {
        panic!("two rules: {rules:?}");
    };
    assert!(elsewhere.starts && !without_key.starts);
    assert_eq!(without_key.serve.unset, ["KEY"]);
    assert_eq!(without_key.serve.env, [pair("PLACE", "x")]);
    // The last of one name counts.
    assert_eq!(elsewhere.serve.env.last(), Some(&pair("PLACE", "y")));
    assert_eq!(elsewhere.changed, ["PLACE"]);
}

#[test]
fn a_start_up_rule_says_what_is_changed_and_what_must_come_of_it() {
    insta::assert_snapshot!(wrong(r#"
[target.a]
url = "http://localhost:8000"
startup.without_key = { unset = "KEY", start = false }
"#), @r#"
    conf/gainsay.toml: 4 mistakes
      × `startup` means nothing without `serve`
       ╭─[conf/gainsay.toml:4:1]
     3 │ url = "http://localhost:8000"
     4 │ startup.without_key = { unset = "***", start = ***** }
       · ───┬───
       ·    ╰── here
       ╰────
      help: add `serve = "COMMAND"` to have gainsay start the server, or leave this out
      × the start-up rule `without_key` does not say what must come of it
       ╭─[conf/gainsay.toml:4:9]
     3 │ url = "http://localhost:8000"
     4 │ startup.without_key = { unset = "***", start = ***** }
       ·         ─────┬─────
       ·              ╰── here
       ╰────
      help: add `starts = false` where the server must refuse to start, `starts = true` where it must
            start
      × `unset` cannot have this value
       ╭─[conf/gainsay.toml:4:33]
     3 │ url = "http://localhost:8000"
     4 │ startup.without_key = { unset = "***", start = ***** }
       ·                                 ──┬──
       ·                                   ╰── here
       ╰────
      help: it is a list of variables, such as `["SECRET_KEY"]`
      × unknown key `start`
       ╭─[conf/gainsay.toml:4:40]
     3 │ url = "http://localhost:8000"
     4 │ startup.without_key = { unset = "***", start = ***** }
       ·                                        ──┬──
       ·                                          ╰── here
       ╰────
      help: did you mean `starts`?
    "#);
}
