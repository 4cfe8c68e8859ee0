"""Has a real Prometheus scrape a real node on a real Redis while the node is used: every query of the dashboard must then find something, and
no alert may fire. Then Redis loses what it had, and the alert for that must fire, though it is the first gap in the node's life.

usage: check_live.py ROOMCAST PROMETHEUS WORK; all listens on free ports of loopback and ends with this.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent.parent
DASHBOARD = json.loads((ROOT / "helm/roomcast/dashboards/roomcast.json").read_text())
DEADLINE_S = 90
# cAdvisor is not here; and of what goes wrong nothing must be seen.
MAY_BE_EMPTY = {"CPU", "Memory", "Errors told"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, deadline, probe):
    """Asks again until there is an answer other than None; asking is what is waited for, not time."""
    while time.monotonic() < deadline:
        answer = probe()
        if answer is not None:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen in time")


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def query(self, expression):
        url = f"{self.base}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        except OSError:
            return None


def queries():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "10s").replace("$namespace", ".*").replace("$node", ".*")
            yield panel["title"], query


def environment(redis, public, internal):
    values = {"AUTH__SECRET": "a-secret-for-this-check-of-32-bytes-or-more", "BROKER__KIND": "redis", "NODE__ID": "n1",
              "BROKER__REDIS__URL": f"redis://127.0.0.1:{redis}", "SERVER__ADDRESS": f"127.0.0.1:{public}", "INTERNAL__LISTEN": f"127.0.0.1:{internal}",
              "TELEMETRY__METRICS__ORGS_MAX": "10"}
    return {"PATH": os.environ["PATH"], **{f"ROOMCAST_{name}": value for name, value in values.items()}}


def check(processes, roomcast, prometheus_binary, work):
    redis, public, internal, port = (free_port() for _ in range(4))
    deadline = time.monotonic() + DEADLINE_S
    config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(ROOT / "helm/roomcast/rules/roomcast.yaml")],
              "scrape_configs": [{"job_name": "roomcast", "static_configs": [{"targets": [f"127.0.0.1:{internal}"]}]}]}
    (work / "prometheus.yml").write_text(json.dumps(config))
    env = environment(redis, public, internal)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes.append(subprocess.Popen(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(work)], **quiet))
    processes.append(subprocess.Popen([roomcast, "serve"], env=env, **quiet))
    until("the node's start", deadline, lambda: True if subprocess.run([roomcast, "health"], env=env, **quiet).returncode == 0 else None)
    processes.append(subprocess.Popen([prometheus_binary, f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data",
                                       f"--web.listen-address=127.0.0.1:{port}"], **quiet))
    prometheus = Prometheus(port)
    url = f"http://127.0.0.1:{public}"

    missing = []

    def all_found():
        # Traffic of every kind: two rounds of what a client does, with a resume.
        selftest = subprocess.run([roomcast, "selftest", "--url", url], env=env, capture_output=True, text=True)
        assert selftest.returncode == 0, selftest.stdout + selftest.stderr
        missing[:] = [(title, query) for title, query in queries() if title not in MAY_BE_EMPTY and not prometheus.query(query)]
        return True if not missing else None

    try:
        until("an answer to every query", deadline, all_found)
    except AssertionError as error:
        raise AssertionError(f"{error}: {missing}") from error
    recorded = [rule["record"] for rule in rules(prometheus) if rule["type"] == "recording"]
    assert recorded and all(rule["health"] == "ok" for rule in rules(prometheus)), "a rule cannot be evaluated"
    firing = prometheus.query('ALERTS{alertstate="firing"}')
    assert firing == [], f"an alert fires on a node in order: {firing}"
    tail = lose_data(roomcast, env, url, redis)
    processes.append(tail)

    def told():
        # What is published next begins a new log, by which the node sees that the old one is gone.
        subprocess.run([roomcast, "selftest", "--url", url], env=env, **quiet)
        return prometheus.query('ALERTS{alertstate="firing",alertname="RoomcastDataLost"}') or None

    until("an alert about lost data", time.monotonic() + 60, told)


def lose_data(roomcast, env, url, redis):
    """Empties Redis while a client is connected who has seen a publication."""
    mint = [roomcast, "token", "mint", "--sub", "reader", "--org", "selftest"]
    token = subprocess.run(mint, env=env, capture_output=True, text=True, check=True).stdout.strip()
    tail = subprocess.Popen([roomcast, "tail", "system:selftest", "--url", url, "--json"], env={**env, "ROOMCAST_TOKEN": token}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert b"authenticated" in tail.stdout.readline()
    subprocess.run(["redis-cli", "-p", str(redis), "flushall"], check=True, stdout=subprocess.DEVNULL)
    return tail


def rules(prometheus):
    def ask():
        with urllib.request.urlopen(f"{prometheus.base}/api/v1/rules", timeout=5) as answer:
            every = [{"record": rule["name"], **rule} for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
        return every if all(rule["health"] != "unknown" for rule in every) else None
    return until("an evaluation of every rule", time.monotonic() + 20, ask)


def main():
    roomcast, prometheus_binary, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    processes = []
    try:
        check(processes, str(pathlib.Path(roomcast).resolve()), prometheus_binary, work)
    except AssertionError as error:
        sys.exit(f"check_live: {error}")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    print(f"a real Prometheus finds something for each of {len(list(queries()))} queries; no alert fires on a node in order, and one when Redis loses data")


if __name__ == "__main__":
    main()
