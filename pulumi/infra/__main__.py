"""`python -m infra`: what make does with the topology beside Pulumi itself."""

import argparse
import os
import subprocess
import sys
from configparser import RawConfigParser
from contextlib import nullcontext, suppress
from pathlib import Path

import yaml

from infra import machine, stack
from infra.aws import sleep
from infra.aws.account import commands, examination
from infra.commands import backups, rotation
from infra.commands.keys import wrong_keys
from infra.commands.supply import audit, image_names, list_parts
from infra.local import doctor, secrets, stores
from infra.local.compose import compose
from infra.local.lower import lower
from infra.local.running import containers_of, docker, filter_of, possible_services, volumes_with_data
from infra.secrets import first_key
from infra.settings import ROOT, SettingError, check_local_stack
from infra.topology import on_aws, project_of, topology

COMPOSE_FILE = ROOT / "compose" / "docker-compose.yaml"
BILLS = ROOT / ".local" / "sbom"
# Compose has no settings but variables and .env: those of a stack that it takes from there, with what holds without.
_VARIABLES = {
    "APPROVAL": "off",
    "ABSTAIN": "off",
    "PREDICTION_RECORDS": "on",
    "RETRAIN": "weekly",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
}
# What says who a person is on AWS, which the object store here does not know.
_OF_A_PERSON = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"}
_HEADER = "# Made from pulumi/infra/topology.py by `make compose`; change that, not this.\n"


def compose_text() -> str:
    """The Compose file of the topology as it is."""
    whole = topology(
        dashboards=True, retrain="weekly", approval=True, abstain=True, records=False, traces="a collector"
    )
    file = compose(whole)
    for service in file["services"].values():
        environment = service.get("environment", {})
        environment |= {name: f"${{{name}:-{_VARIABLES[name]}}}" for name in environment.keys() & _VARIABLES.keys()}
    return _HEADER + yaml.safe_dump(file, sort_keys=False, width=110)


def main() -> None:
    """Do the one thing that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m infra", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    subparsers.add_parser("compose", help="write the Compose file")
    subparsers.add_parser("sbom", help="list what the lock and the images consist of")
    subparsers.add_parser("audit", help="look up known vulnerabilities of the lock and the images")
    subparsers.add_parser("stack", help="prepare a Pulumi stack").add_argument("stack")
    subparsers.add_parser("token", help="print the variables that pass the jobs API's token").add_argument("stack")
    subparsers.add_parser("doctor", help="check what this machine or an account on AWS lacks").add_argument("stack")
    subparsers.add_parser("policy", help="write the policies of who deploys a stack").add_argument("stack")
    subparsers.add_parser("check", help="check that a stack on AWS runs what was deployed").add_argument("stack")
    subparsers.add_parser("tidy", help="remove what AWS writes after a stack has gone").add_argument("stack")
    subparsers.add_parser("sleep", help="stop containers and database of a stack on AWS").add_argument("stack")
    subparsers.add_parser("wake", help="start them again, and wait until they run").add_argument("stack")
    subparsers.add_parser("status", help="what a stack consists of, and its addresses").add_argument("stack")
    rotating = subparsers.add_parser("rotate", help="make another value of a secret; `make up` restarts who uses it")
    rotating.add_argument("stack")
    rotating.add_argument("secret")
    logs = subparsers.add_parser("logs", help="follow the log of a service")
    logs.add_argument("stack")
    logs.add_argument("service")
    upload = subparsers.add_parser("upload", help="copy a dataset into a stack's bucket")
    upload.add_argument("stack")
    upload.add_argument("data")
    for command, help_text in {"backup": "back a stack up", "restore": "put a backup of a stack back"}.items():
        saving = subparsers.add_parser(command, help=help_text)
        for argument in ("stack", "place", "which", "parts")[: 3 if command == "backup" else 4]:
            saving.add_argument(argument)
    options = parser.parse_args()
    if options.command == "compose":
        COMPOSE_FILE.write_text(compose_text())
    elif options.command in ("sbom", "audit"):
        _supply(options.command)
    else:
        try:
            if not on_aws(options.stack):
                check_local_stack(options.stack)
            with commands.answered(options.stack) if on_aws(options.stack) else nullcontext():
                _of_a_stack(options)
        except (stack.StackError, SettingError) as error:
            sys.exit(str(error))


def _of_a_stack(options: argparse.Namespace) -> None:
    if options.command == "upload":
        _upload(options.stack, options.data)
        return
    if options.command == "logs":
        _logs(options.stack, options.service)
        return
    if options.command == "rotate":
        print(rotation.rotate(options.stack, options.secret, secrets.FOLDER))
        return
    if options.command == "backup":
        sys.exit(backups.backup(options.stack, options.place, options.which, secrets.FOLDER))
    if options.command == "restore":
        sys.exit(backups.restore(options.stack, options.place, options.which, options.parts, secrets.FOLDER))
    known = {"stack": _stack, "token": _token, "check": _check, "status": _status, "doctor": _doctor, "policy": _policy}
    known |= {"sleep": _sleep, "wake": _wake, "tidy": _tidy}
    known[options.command](options.stack)


def _supply(command: str) -> None:
    images = image_names(lower(topology(dashboards=True)))
    account = list_parts(ROOT, BILLS, images) if command == "sbom" else audit(ROOT, images)
    print(account)
    sys.exit(account.exit_code)


def _stack(name: str) -> None:
    lacking: list[str] = []
    if on_aws(name):
        made, lacking = commands.prepare(name)
    else:
        secrets.main()
        names = tuple(name for name in secrets.all_secrets() if not secrets.derived(name))
        made = stack.prepare(name, names, secrets.FOLDER)
    if wrong := list(wrong_keys(name)):
        sys.exit("\n".join(wrong))
    print(f"Stack {name} is ready ({len(made)} secrets set). `make up STACK={name}` brings it up; to type it yourself:")
    print(f"  {stack.exports({'PULUMI_CONFIG_PASSPHRASE_FILE': stack.PASSPHRASE})}")
    print("".join(f"  {command}  # has to be set\n" for command in lacking) + f"  pulumi up --stack {name}")


def _token(name: str) -> None:
    """What Ray's clients read, and a key to the page for whoever asks it from here."""
    local = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(secrets.FOLDER / "ray-token")}
    if (keys := secrets.FOLDER / "api-keys").exists():
        local[commands.API_KEY] = first_key(keys.read_text())
    print(stack.exports(commands.write_files(name) if on_aws(name) else local))


def _doctor(name: str) -> None:
    """Say what is wrong, each with what fixes it; ends with an error where `make up` would fail."""
    if on_aws(name):
        plugins = ("aws", "docker")
        platform = "linux/arm64" if stack.settings_of(name)["architecture"] == "arm64" else "linux/amd64"
        found = [*machine.disk(ROOT), *machine.docker(platform=platform), *machine.pulumi(plugins), *machine.aws()]
        found += [*machine.proxies(), *examination.examine(name)]
    else:
        found = doctor.examine(name, doctor.Here(root=ROOT, secrets=secrets.FOLDER, ports={}))
    print("\n".join(map(str, found)) or f"Nothing is wrong, and {name} has all that it needs.")
    if any(finding.stops for finding in found):
        sys.exit("`make up` would fail on what stops it; nothing was created.")


def _policy(name: str) -> None:
    """Write them, and say how somebody with more rights gives them."""
    if not on_aws(name):
        sys.exit(f"{name} needs no account: make policy STACK=aws")
    files = examination.policy(name)
    called = f"{project_of(name)}-deployer"
    print("# Whoever administers the account types this once, for the user NAME (or attach-role-policy for a role):")
    for number, file in enumerate(files, start=1):
        print(
            f"aws iam attach-user-policy --user-name NAME --policy-arn $(aws iam create-policy --policy-name "
            f"{called}-{number} --policy-document file://{file} --query Policy.Arn --output text)"
        )


def _check(name: str) -> None:
    """On this machine `pulumi up` itself waits for every container to be healthy."""
    if wrong := commands.check(name) if on_aws(name) else []:
        sys.exit("\n".join(wrong))


def _tidy(name: str) -> None:
    """Remove what AWS writes again; on this machine, say where the data stay."""
    if on_aws(name):
        for group in commands.tidy(name):
            print(f"Removed {group}, which AWS had written again.")
    elif kept := volumes_with_data(name):
        print(f"The data stay in the volumes {', '.join(kept)}; `make up STACK={name}` takes them again.")


def _sleep(name: str) -> None:
    _only_on_aws(name, "make down")
    try:
        print("\n".join(sleep.sleep(commands.stoppable(name), commands.regional(name))))
    except sleep.NotReadyError as error:
        sys.exit(str(error))
    print(f"What is left is paid: make cost STACK={name}. To use it again: make wake STACK={name}")


def _wake(name: str) -> None:
    _only_on_aws(name, "make up")
    there, clients = commands.stoppable(name), commands.regional(name)
    print("The database takes some minutes to start.", flush=True)
    try:
        print("\n".join(sleep.wake(there, clients)), flush=True)
    except sleep.NotReadyError as error:
        sys.exit(str(error))
    sleep.when_awake(there, clients)
    print("Every container runs.")


def _only_on_aws(name: str, instead: str) -> None:
    if not on_aws(name):
        sys.exit(f"{name} costs nothing while it runs; {instead} is for that, and this for STACK=aws.")


def _status(name: str) -> None:
    if on_aws(name):
        print("\n".join(commands.status(name)))
        print(stack.run_pulumi("stack", "output", "--stack", name).stdout, end="")
        return
    form = "table {{.Names}}\t{{.Status}}\t{{.Ports}}"
    print(docker("ps", "--all", "--filter", filter_of(name), "--format", form), end="")
    with suppress(stack.StackError):  # who uses Compose has no stack
        print(stack.run_pulumi("stack", "output", "--stack", name).stdout, end="")


def _logs(name: str, service: str) -> None:
    """Show the last of a service's log and follow it until Ctrl-C."""
    groups = commands.log_groups(name) if on_aws(name) else {}
    known = list(groups) or [one.name for one in possible_services(name)]
    if service not in known:
        sys.exit(
            f"SERVICE is {service!r}; it takes one of {', '.join(known)}: make logs SERVICE={known[0]} STACK={name}"
        )
    if on_aws(name):
        region = stack.read_setting("aws:region", name)
        if not region or not commands.has_logs(name, groups[service]):
            sys.exit(f"{groups[service]} is not there; `make up STACK={name}` makes it.")
        command = ["aws", "logs", "tail", groups[service], "--follow", "--since", "1h", "--region", region]
    else:
        found = containers_of(project_of(name), service)
        if not found:
            sys.exit(f"No container of {service} is there; `make up STACK={name}` starts it.")
        if len(found) > 1:
            print(f"This is {found[0]}; of the others, docker logs shows {', '.join(found[1:])}.", file=sys.stderr)
        command = ["docker", "logs", "--follow", "--tail", "200", found[0]]
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603
        except FileNotFoundError:
            sys.exit(f"The command {command[0]} is not on the PATH; make doctor STACK={name} says where to get it.")


def _upload(name: str, data: str) -> None:
    if not data:
        sys.exit("DATA is not set; name the folder with NORMAL/ and PNEUMONIA/: make upload DATA=../xrays")
    if on_aws(name):
        target, region = commands.upload_target(name)
        environment = os.environ | region
    else:
        target, environment = _local_target(name)
    command = [sys.executable, "-m", "ray_jobs.upload", "--data", data, "--to", target]
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)  # noqa: S603


def _local_target(name: str) -> tuple[str, dict[str, str]]:
    credentials = secrets.FOLDER / stores.CREDENTIALS
    if not credentials.exists():
        sys.exit("compose/secrets/ has no credentials of the object store; `make stack` or `make secrets` makes them.")
    store = {
        "AWS_ENDPOINT_URL_S3": "http://localhost:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        **_keys_in(credentials),
    }
    others = {key: value for key, value in os.environ.items() if key not in _OF_A_PERSON}
    return f"s3://{stores.bucket_name(topology(stack=name), 'data')}", others | store


def _keys_in(credentials: Path) -> dict[str, str]:
    """The key of an AWS credentials file as variables, which come before all that a person may have set."""
    found = RawConfigParser()
    found.read(credentials)
    return {name.upper(): value for name, value in found["default"].items()}


if __name__ == "__main__":
    main()
