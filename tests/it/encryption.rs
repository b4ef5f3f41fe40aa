//! TLS: the certificates that are trusted, as by libpq, and the warning about a password that is not encrypted.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use crate::support::server::PASSWORD;
use crate::support::{Authority, Corveil, Database, Folder, Server};

/// An address that leads to this machine and is not known to: so a password that is sent there has left it.
const ELSEWHERE: &str = "0.0.0.0";

/// A server with TLS, the authority that signed its certificate, and another one.
struct Scene {
    server: Server,
    database: Database,
    folder: Folder,
    files: TempDir,
    right: PathBuf,
    wrong: PathBuf,
}

impl Scene {
    async fn set() -> Self {
        let files = tempfile::tempdir().expect("create a folder");
        let (right, wrong) = (Authority::new(), Authority::new());
        let file = |name: &str, authority: &Authority| {
            let file = files.path().join(name);
            std::fs::write(&file, authority.certificate()).expect("write a certificate");
            file
        };
        let (right_file, wrong_file) = (file("right.crt", &right), file("wrong.crt", &wrong));
        let server = Server::with_tls(&right.identity(&["localhost"]));
        let database = Database::on(&server).await;
        let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
        Self { server, database, folder, files, right: right_file, wrong: wrong_file }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let file = |file: &PathBuf| file.display().to_string();
        let parameters = parameters.replace("RIGHT", &file(&self.right)).replace("WRONG", &file(&self.wrong));
        let port = self.server.port();
        format!("postgres://postgres:{PASSWORD}@{host}:{port}/{}?{parameters}", self.database.name())
    }

    fn run(&self, url: &str) -> Corveil {
        Corveil::with("status", &self.database, &self.folder)
            .env("DATABASE_URL", url)
            .args(["--wait-for-db", "0s"])
    }
}

#[tokio::test]
async fn a_server_is_trusted_when_the_configured_authority_signed_its_certificate() {
    let scene = Scene::set().await;
    for (host, parameters, code) in [
        ("localhost", "sslmode=require", 1),
        ("localhost", "sslmode=require&sslrootcert=RIGHT", 1),
        ("localhost", "sslmode=require&sslrootcert=WRONG", 2),
        ("localhost", "ssl=true&sslrootcert=WRONG", 2),
        ("localhost", "sslmode=verify-ca&sslrootcert=RIGHT", 1),
        ("localhost", "sslmode=verify-ca&sslrootcert=WRONG", 2),
        ("localhost", "sslmode=verify-full&sslrootcert=RIGHT", 1),
        ("localhost", "sslmode=verify-full&sslrootcert=WRONG", 2),
        ("localhost", "sslmode=verify-full", 2),
        ("localhost", "sslrootcert=system", 2),
        // The certificate is for another name.
        ("127.0.0.1", "sslmode=require&sslrootcert=RIGHT", 1),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=RIGHT", 2),
    ] {
        let run = scene.run(&scene.url(host, parameters)).run().await;
        assert_eq!(run.code, Some(code), "{host} {parameters}: {run}");
        let reason = if host == "localhost" {
            "no authority that is trusted here vouches for the server's certificate"
        } else {
            "the server's certificate is for another name"
        };
        assert!(code != 2 || run.stderr.contains(reason), "{host} {parameters}: {run}");
        assert!(code != 2 || run.stderr.contains("hint: "), "{host} {parameters}: {run}");
    }
    // It does not pass, so the run does not wait.
    let url = scene.url("localhost", "sslmode=verify-full&sslrootcert=WRONG");
    for (subcommand, arguments) in [("migrate", &[][..]), ("wait", &[]), ("wait", &["--for", "db"])] {
        let run = Corveil::with(subcommand, &scene.database, &scene.folder).env("DATABASE_URL", &url);
        run.args(arguments)
            .run()
            .await
            .expect_code(2)
            .expect_stderr("hint: name the file with the certificate");
    }
    // What a host gives to clients of Node.js.
    let url = scene.url("localhost", "sslmode=no-verify&sslrootcert=WRONG");
    scene.run(&url).run().await.expect_code(1);
    for (file, code) in [(&scene.right, 1), (&scene.wrong, 2)] {
        let url = scene.url("localhost", "");
        let environment = [("PGSSLMODE", "require"), ("PGSSLROOTCERT", file.to_str().unwrap())];
        let run = environment.into_iter().fold(scene.run(&url), |run, (name, value)| run.env(name, value));
        run.run().await.expect_code(code);
    }
}

#[tokio::test]
async fn libpqs_default_file_of_authorities_counts() {
    let scene = Scene::set().await;
    let own = scene.files.path().join(".postgresql");
    std::fs::create_dir(&own).unwrap();
    for (authority, code) in [(&scene.right, 1), (&scene.wrong, 2)] {
        std::fs::copy(authority, own.join("root.crt")).unwrap();
        for mode in ["require", "verify-ca", "verify-full"] {
            let run = scene.run(&scene.url("localhost", &format!("sslmode={mode}")));
            run.env("HOME", scene.files.path()).run().await.expect_code(code);
        }
    }
}

#[tokio::test]
async fn the_authorities_of_the_system_are_not_trusted_in_addition_to_a_configured_one() {
    let scene = Scene::set().await;
    // The system trusts the authority of the server, like a public one, and another authority is configured.
    let system = scene.right.to_str().unwrap();
    for (parameters, code) in [
        ("sslmode=verify-full", 1),
        ("sslrootcert=system", 1),
        ("sslmode=require&sslrootcert=WRONG", 2),
        ("sslmode=verify-ca&sslrootcert=WRONG", 2),
        ("sslmode=verify-full&sslrootcert=WRONG", 2),
    ] {
        let run = scene.run(&scene.url("localhost", parameters)).env("SSL_CERT_FILE", system).run().await;
        assert_eq!(run.code, Some(code), "{parameters}: {run}");
    }
}

#[tokio::test]
async fn a_password_that_is_not_encrypted_causes_one_warning() {
    const WARNING: &str = "unencrypted";
    let plain = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let url = |host: &str, parameters: &str| {
        let (port, name) = (plain.url().port, plain.name());
        format!("postgres://postgres:{PASSWORD}@{host}:{port}/{name}{parameters}")
    };
    for parameters in ["", "?sslmode=prefer", "?sslmode=disable", "?sslmode=allow"] {
        let run =
            Corveil::migrate(&plain, &folder).env("DATABASE_URL", url(ELSEWHERE, parameters)).run().await;
        let run = run.expect_code(0).expect_stderr("the password of `postgres` goes to `0.0.0.0:");
        assert_eq!(run.stderr.matches(WARNING).count(), 1, "{parameters}: {run}");
        assert!(!run.stderr.contains(PASSWORD), "{run}");
    }
    for host in ["127.0.0.1", "localhost"] {
        let run = Corveil::migrate(&plain, &folder).env("DATABASE_URL", url(host, "")).run().await;
        run.expect_code(0).expect_no_stderr(WARNING);
    }
    // What `PGPASSWORD` and a password file have goes the same way.
    let without = format!("postgres://postgres@{ELSEWHERE}:{}/{}", plain.url().port, plain.name());
    let run = Corveil::migrate(&plain, &folder)
        .env("DATABASE_URL", &without)
        .env("PGPASSWORD", PASSWORD)
        .run()
        .await;
    run.expect_code(0).expect_stderr(WARNING);
    let file = folder.path().join("pgpass");
    std::fs::write(&file, format!("*:*:*:*:{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run =
        Corveil::migrate(&plain, &folder).env("DATABASE_URL", &without).env("PGPASSFILE", &file).run().await;
    run.expect_code(0).expect_stderr(WARNING);

    let scene = Scene::set().await;
    for parameters in ["", "sslmode=require", "sslmode=verify-ca&sslrootcert=RIGHT"] {
        let run = scene.run(&scene.url(ELSEWHERE, parameters)).run().await;
        run.expect_code(1).expect_no_stderr(WARNING);
    }
}

/// An attacker between Corveil and the server, who pretends that the server has no TLS. Returns everything that they read.
fn in_the_middle() -> (u16, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        // The second connection is the one that goes without; the first offers TLS and is declined.
        for _ in 0..2 {
            let Ok((mut client, _)) = listener.accept() else { break };
            let mut packet = [0; 1024];
            while let Ok(length @ 1..) = client.read(&mut packet) {
                heard.extend_from_slice(&packet[..length]);
                let answer: &[u8] = match &packet[..length] {
                    [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f] => b"N",
                    // AuthenticationCleartextPassword.
                    [0, 0, ..] => &[b'R', 0, 0, 0, 8, 0, 0, 0, 3],
                    _ => break,
                };
                client.write_all(answer).unwrap();
            }
        }
        heard
    });
    (port, heard)
}

#[tokio::test]
async fn a_server_in_the_middle_gets_no_password_without_a_warning() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("0001_a.sql", "CREATE TABLE a ()");
    for (mode, is_told) in [("prefer", true), ("require", false), ("verify-full", false)] {
        let (port, heard) = in_the_middle();
        let url = format!("postgres://u:{PASSWORD}@{ELSEWHERE}:{port}/d?sslmode={mode}");
        let run = Corveil::with("status", &database, &folder).args(["--wait-for-db", "0s"]);
        let run = run.env("DATABASE_URL", url).run().await;
        assert_eq!(run.stderr.contains("unencrypted"), is_told, "{mode}: {run}");
        if !is_told {
            // It waits for a second connection that does not come.
            let _ = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        }
        let heard = heard.join().unwrap();
        let has_password = heard.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        assert_eq!(has_password, is_told, "{mode}: {run}");
    }
}

#[tokio::test]
async fn a_client_certificate_that_the_server_refuses_is_a_configuration_error() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let server = Server::with_client_certificates(&right.identity(&["localhost"]), right.certificate());
    let (files, folder) =
        (tempfile::tempdir().unwrap(), Folder::new().file("0001_a.sql", "CREATE TABLE a ()"));
    for (name, authority) in [("good", &right), ("bad", &wrong)] {
        let identity = authority.identity(&["postgres"]);
        std::fs::write(files.path().join(format!("{name}.crt")), &identity.certificate).unwrap();
        std::fs::write(files.path().join(format!("{name}.key")), &identity.key).unwrap();
    }
    let url = |parameters: &str| {
        let file = |name: &str| files.path().join(name).display().to_string();
        let parameters = parameters.replace("GOOD", &file("good")).replace("BAD", &file("bad"));
        format!(
            "postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres?sslmode=require&{parameters}",
            server.port()
        )
    };
    for (parameters, code, reason) in [
        ("sslcert=GOOD.crt&sslkey=GOOD.key", 1, ""),
        ("sslcert=BAD.crt&sslkey=BAD.key", 2, "the server does not accept the client certificate"),
        ("sslcert=GOOD.crt&sslkey=BAD.key", 2, "the TLS connection to"),
        (
            "sslcert=GOOD.crt&sslkey=/missing.key",
            2,
            "`sslkey` in `DATABASE_URL` names a file that cannot be read",
        ),
        ("sslcert=GOOD.crt", 2, "`sslcert` in `DATABASE_URL` is set, and not the other one"),
        ("connect_timeout=1", 2, "connection requires a valid client certificate"),
    ] {
        let run = Corveil::new("status").arg("--source").arg(folder.path());
        let run = run.args(["--wait-for-db", "5s"]).env("DATABASE_URL", url(parameters)).run().await;
        assert!(run.code == Some(code) && run.stderr.contains(reason), "{parameters}: {run}");
        assert!(code == 1 || run.stderr.contains("hint: "), "{parameters}: {run}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_configuration_error_if_the_url_requires_tls() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("0001_a.sql", "CREATE TABLE a ()"));
    for subcommand in ["migrate", "status", "wait"] {
        let run = Corveil::with(subcommand, &database, &folder);
        let run = run.env("DATABASE_URL", format!("{}?sslmode=require", database.url())).run().await;
        run.expect_code(2)
            .expect_stderr("has no TLS, which `sslmode` asks for")
            .expect_stderr("hint: switch `ssl` on");
    }
}
