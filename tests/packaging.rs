//! Are the packages as they should be, and do they install, run, upgrade and go? On machines with sysvinit and
//! with systemd, made by debootstrap; for OpenWrt by readers of our own of its two formats, and by functions that
//! stand in for procd's.
//!
//! These need root, and Debian's mirror the first time; what it gives is kept in `target/packaging`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used
)]

#[path = "packaging/adb.rs"]
mod adb;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// When all files in a package are from.
const EPOCH: &str = "1700000000";

/// Runs a program from the root of the sources; it must succeed. Returns what it prints.
#[track_caller]
fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .env("SIPGUARD", &*BINARY)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{program} {words:?}:\n{text}");
    text
}

/// The static program, as it is installed.
static BINARY: LazyLock<String> = LazyLock::new(|| {
    let made = Command::new("make")
        .args(["--silent", "build"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8(made.stdout).unwrap();
    let (path, _) = said.rsplit_once(": ").expect("make build says where it is");
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
});

/// A directory of this test's own, empty.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// The only file in a directory.
#[track_caller]
fn only_file(directory: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_scripts_are_clean() {
    let dash = [
        "init.d/sipguard",
        "init.d/build-deb",
        "init.d/deb/postinst",
        "init.d/deb/prerm",
        "init.d/deb/postrm",
        "openwrt/files/etc/init.d/sipguard",
        "openwrt/files/usr/share/sipguard/jail-local.sh",
        "openwrt/files/usr/share/sipguard/remove.sh",
        "tests/packaging/base",
        "tests/packaging/machine",
        "tests/packaging/openwrt.sh",
        "tests/packaging/procd.sh",
        "tests/packaging/systemd.sh",
        "tests/packaging/sysvinit.sh",
    ];
    run("shellcheck", &[&["-x", "-s", "dash"][..], &dash].concat());
}

/// Builds a package for Debian in a directory of that name.
fn deb(name: &str, arch: &str, binary: &str, revision: &str) -> PathBuf {
    let out = directory(name);
    let revision = format!("REVISION={revision}");
    run("env", &[&revision, "init.d/build-deb", arch, binary, text(&out)]);
    only_file(&out)
}

/// The architecture of this machine, as Debian calls it.
fn host() -> String {
    run("dpkg", &["--print-architecture"]).trim().to_owned()
}

#[test]
fn debian_has_nothing_to_say_against_the_package() {
    let package = deb("deb-lint", &host(), &BINARY, "1");
    let said = run("lintian", &["--allow-root", "--fail-on", "none", text(&package)]);
    assert_eq!(said.trim(), "");
}

#[test]
fn a_debian_package_holds_what_it_should_for_every_pi() {
    for arch in ["armhf", "arm64", "amd64"] {
        // Any file: nothing of it is run.
        let package = deb(&format!("deb-{arch}"), arch, "LICENSE-MIT", "1");
        assert!(text(&package).ends_with(&format!("/sipguard_0.1.0-1_{arch}.deb")));
        let again = deb(&format!("deb-{arch}-again"), arch, "LICENSE-MIT", "1");
        assert_eq!(
            fs::read(&package).unwrap(),
            fs::read(again).unwrap(),
            "it is built alike"
        );
        let listed = run("dpkg-deb", &["--contents", text(&package)]);
        let files: Vec<String> = listed
            .lines()
            .filter(|line| !line.starts_with('d'))
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                assert_eq!(words[3], "2023-11-14", "{line}");
                format!("{} {} {}", words[0], words[1], words[5])
            })
            .collect();
        assert_eq!(
            files,
            [
                "-rw-r--r-- root/root ./etc/default/sipguard",
                "-rwxr-xr-x root/root ./etc/init.d/sipguard",
                "-rw-r--r-- root/root ./etc/sipguard/jail.local",
                "-rw-r--r-- root/root ./lib/systemd/system/sipguard.service",
                "-rwxr-xr-x root/root ./usr/sbin/sipguard",
                "-rw-r--r-- root/root ./usr/share/doc/sipguard/changelog.Debian.gz",
                "-rw-r--r-- root/root ./usr/share/doc/sipguard/copyright",
                "-rw-r--r-- root/root ./usr/share/lintian/overrides/sipguard",
                "-rw-r--r-- root/root ./usr/share/man/man8/sipguard.8.gz",
            ]
        );
        assert!(
            listed
                .lines()
                .all(|line| !line.starts_with('d') || line.starts_with("drwxr-xr-x root/root")),
            "{listed}"
        );
        assert_eq!(
            run("dpkg-deb", &["--info", text(&package), "conffiles"]),
            "/etc/default/sipguard\n/etc/init.d/sipguard\n/etc/sipguard/jail.local\n"
        );
        assert_eq!(
            run("dpkg-deb", &["--field", text(&package), "Architecture"]).trim(),
            arch
        );
    }
}

/// Runs a script on a machine with these packages of Debian's, and with two versions of ours beside it.
fn on_a_machine(init: &str, packages: &[&str]) {
    let files: Vec<PathBuf> = ["1", "2"]
        .iter()
        .map(|revision| {
            let package = deb(&format!("deb-{init}-{revision}"), &host(), &BINARY, revision);
            let named = package.with_file_name(format!("sipguard-{revision}.deb"));
            fs::rename(package, &named).unwrap();
            named
        })
        .collect();
    let tree = run("tests/packaging/base", &[&[init][..], packages].concat());
    let script = format!("tests/packaging/{init}.sh");
    let said = run(
        "tests/packaging/machine",
        &[tree.trim(), &script, text(&files[0]), text(&files[1])],
    );
    assert!(said.contains("== done"), "{said}");
}

#[test]
fn on_sysvinit_the_package_installs_guards_upgrades_and_goes() {
    on_a_machine(
        "sysvinit",
        &["sysvinit-core", "initscripts", "nftables", "busybox"],
    );
}

#[test]
fn on_systemd_the_package_installs_guards_upgrades_and_goes() {
    on_a_machine(
        "systemd",
        &["systemd-sysv", "procps", "man-db", "nftables", "iptables"],
    );
}

#[test]
fn procd_is_asked_for_the_right_thing_in_dash() {
    procd(&["dash"]);
}

#[test]
fn procd_is_asked_for_the_right_thing_in_busybox() {
    procd(&["busybox", "sh"]);
}

fn procd(shell: &[&str]) {
    let script = ["tests/packaging/procd.sh", "openwrt/files"];
    let words = [&["--net"][..], shell, &script].concat();
    let said = run("unshare", &words);
    assert!(said.contains("== done"), "{said}");
}

/// Every file for OpenWrt, as `mode path`; they all belong to root.
const OPENWRT: [&str; 7] = [
    "644 /etc/capabilities/sipguard.json",
    "600 /etc/config/sipguard",
    "755 /etc/init.d/sipguard",
    "644 /lib/upgrade/keep.d/sipguard",
    "755 /usr/sbin/sipguard",
    "644 /usr/share/sipguard/jail-local.sh",
    "644 /usr/share/sipguard/remove.sh",
];

/// Builds a package for OpenWrt from any file, twice. Returns its path.
fn openwrt(name: &str, release: &str) -> PathBuf {
    let build = |name: &str| {
        let out = directory(name);
        let words = [
            "--arch",
            "mipsel_24kc",
            "--binary",
            "LICENSE-MIT",
            "--release",
            release,
        ];
        run("openwrt/build", &[&words[..], &["--out", text(&out)]].concat());
        only_file(&out)
    };
    let package = build(name);
    let again = build(&format!("{name}-again"));
    assert_eq!(
        fs::read(&package).unwrap(),
        fs::read(again).unwrap(),
        "it is built alike"
    );
    package
}

/// What tar(1) lists of an archive, a line each: mode, owner, size, date, time, name.
fn listed(archive: &Path) -> Vec<Vec<String>> {
    let said = run("tar", &["--numeric-owner", "--utc", "-tvzf", text(archive)]);
    said.lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn check_ipk(release: &str, version: &str, depends: &str) {
    let package = openwrt(&format!("ipk-{release}"), release);
    assert!(text(&package).ends_with(&format!("/sipguard_{version}_mipsel_24kc.ipk")));
    // No name and no time in the header of gzip (RFC 1952).
    let bytes = fs::read(&package).unwrap();
    assert_eq!(&bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let names: Vec<String> = listed(&package).iter().map(|line| line[5].clone()).collect();
    assert_eq!(names, ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]);
    let parts = directory(&format!("ipk-{release}-parts"));
    run("tar", &["-xzf", text(&package), "-C", text(&parts)]);
    assert_eq!(fs::read_to_string(parts.join("debian-binary")).unwrap(), "2.0\n");

    let data = listed(&parts.join("data.tar.gz"));
    assert!(
        data.iter()
            .all(|line| line[1] == "0/0" && line[3] == "2023-11-14"),
        "{data:?}"
    );
    let directories = data.iter().filter(|line| line[0].starts_with('d'));
    assert!(
        directories
            .clone()
            .all(|line| line[0] == "drwxr-xr-x" && line[5].ends_with('/'))
    );
    assert_eq!(data[0][5], "./");
    let files: Vec<String> = data
        .iter()
        .filter(|line| line[0].starts_with('-'))
        .map(|line| format!("{} {}", octal(&line[0]), line[5].strip_prefix('.').unwrap()))
        .collect();
    assert_eq!(files, OPENWRT);

    let control = parts.join("control");
    fs::create_dir(&control).unwrap();
    run(
        "tar",
        &["-xzf", text(&parts.join("control.tar.gz")), "-C", text(&control)],
    );
    let scripts: Vec<String> = listed(&parts.join("control.tar.gz"))
        .iter()
        .map(|line| format!("{} {}", octal(&line[0]), line[5]))
        .collect();
    assert_eq!(
        scripts,
        [
            "755 ./",
            "644 ./conffiles",
            "644 ./control",
            "755 ./postinst",
            "755 ./postinst-pkg",
            "755 ./prerm",
            "755 ./prerm-pkg"
        ]
    );
    let read = |name: &str| fs::read_to_string(control.join(name)).unwrap();
    assert_eq!(read("conffiles"), "/etc/config/sipguard\n");
    for line in [
        "Package: sipguard".to_owned(),
        format!("Version: {version}"),
        format!("Depends: {depends}"),
        "Architecture: mipsel_24kc".to_owned(),
        "Require-User: sipguard:sipguard".to_owned(),
    ] {
        assert!(
            read("control").lines().any(|found| found == line),
            "{line}: {}",
            read("control")
        );
    }
    for script in ["postinst", "postinst-pkg", "prerm", "prerm-pkg"] {
        run("dash", &["-n", text(&control.join(script))]);
    }
}

/// `-rw-r--r--` as `644`.
fn octal(mode: &str) -> String {
    let digit = |bits: &str| {
        bits.bytes()
            .zip([4, 2, 1])
            .map(|(bit, value)| if bit == b'-' { 0 } else { value })
            .sum::<u32>()
    };
    [1, 4, 7].map(|at| digit(&mode[at..at + 3]).to_string()).concat()
}

#[test]
fn an_ipk_is_what_opkg_reads() {
    check_ipk("24.10", "0.1.0-r1", "kmod-nft-core");
    check_ipk("22.03", "0.1.0-1", "kmod-nft-core");
    check_ipk("21.02", "0.1.0-1", "kmod-ipt-ipset");
}

#[test]
fn an_apk_is_what_apk_reads() {
    let package = openwrt("apk", "25.12");
    assert!(text(&package).ends_with("/sipguard-0.1.0-r1_mipsel_24kc.apk"));
    let inflate = "import sys, zlib; data = open(sys.argv[1], 'rb').read(); assert data[:4] == b'ADBd'; \
                   open(sys.argv[2], 'wb').write(zlib.decompress(data[4:], -15))";
    let plain = directory("apk-plain").join("adb");
    run("python3", &["-c", inflate, text(&package), text(&plain)]);
    let apk = adb::read(&fs::read(&plain).unwrap());

    let info: BTreeMap<&str, &str> = apk
        .info
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    assert_eq!(info["name"], "sipguard");
    assert_eq!(info["version"], "0.1.0-r1");
    assert_eq!(info["arch"], "mipsel_24kc");
    assert_eq!(info["license"], "MIT OR Apache-2.0");
    assert_eq!(apk.depends, ["kmod-nft-core"]);

    let files: Vec<String> = apk
        .files
        .iter()
        .map(|file| {
            assert_eq!(
                (file.user.as_str(), file.group.as_str()),
                ("root", "root"),
                "{}",
                file.path
            );
            assert_eq!(file.mtime.to_string(), EPOCH, "{}", file.path);
            format!("{:o} {}", file.mode, file.path)
        })
        .collect();
    let lists = [".conffiles", ".conffiles_static", ".list", ".rusers"]
        .map(|end| format!("644 /lib/apk/packages/sipguard{end}"));
    let mut wanted: Vec<String> = OPENWRT.iter().map(|&file| file.to_owned()).chain(lists).collect();
    let path = |line: &String| line.split_once(' ').unwrap().1.to_owned();
    wanted.sort_by_key(path);
    let mut found = files.clone();
    found.sort_by_key(path);
    assert_eq!(found, wanted);
    assert_eq!(apk.directories.first().map(String::as_str), Some("/"));
    assert!(apk.directories.is_sorted(), "{:?}", apk.directories);

    let contents = |name: &str| {
        let file = apk.files.iter().find(|file| file.path.ends_with(name)).unwrap();
        String::from_utf8(file.contents.clone()).unwrap()
    };
    assert_eq!(contents("/sipguard.conffiles"), "/etc/config/sipguard\n");
    let digest = run("sha256sum", &["openwrt/files/etc/config/sipguard"]);
    let digest = digest.split_whitespace().next().unwrap();
    assert_eq!(
        contents(".conffiles_static"),
        format!("/etc/config/sipguard {digest}\n")
    );
    assert!(
        contents(".list").lines().eq(OPENWRT
            .iter()
            .map(|file| &file[4..])
            .chain(["/lib/apk/packages/sipguard.rusers"])
            .collect::<std::collections::BTreeSet<_>>())
    );
    for file in &apk.files {
        let path = plain.with_file_name("contents");
        fs::write(&path, &file.contents).unwrap();
        let digest = run("sha256sum", &[text(&path)]);
        assert_eq!(
            digest.split_whitespace().next().unwrap(),
            file.sha256,
            "{}",
            file.path
        );
    }

    let names: Vec<&str> = apk.scripts.keys().copied().collect();
    assert_eq!(names, ["post-install", "post-upgrade", "pre-deinstall"]);
    assert!(apk.scripts["post-upgrade"].starts_with("#!/bin/sh\nexport PKG_UPGRADE=1\n"));
    assert!(apk.scripts["post-upgrade"].contains("/etc/init.d/sipguard restart"));
    assert!(apk.scripts["pre-deinstall"].contains("remove.sh"));
    for script in apk.scripts.values() {
        let path = plain.with_file_name("script");
        fs::write(&path, script).unwrap();
        run("dash", &["-n", text(&path)]);
    }
}

#[test]
fn every_file_for_openwrt_is_installed_by_the_feeds_makefile_too() {
    let makefile =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/Makefile")).unwrap();
    for file in OPENWRT {
        let (mode, path) = file.split_once(' ').unwrap();
        let how = match mode {
            "755" => "INSTALL_BIN",
            "600" => "INSTALL_CONF",
            _ => "INSTALL_DATA",
        };
        let line = makefile
            .lines()
            .find(|line| line.ends_with(&format!(" $(1){path}")));
        assert!(
            line.is_some_and(|line| line.starts_with(&format!("\t$({how}) "))),
            "{path}: {line:?}"
        );
    }
    let version = format!("PKG_VERSION:={}", env!("CARGO_PKG_VERSION"));
    assert!(makefile.lines().any(|line| line == version), "{version}");
}
