"""Holds what operators rely on against each other: every metric that a rule, a panel or a page names exists, with its labels; every alert has
a runbook, a test that fires it, and a severity; the dashboard's panels neither overlap nor repeat an id.

usage: check_operations.py QUERIES; writes the dashboard's queries there as a rules file, for promtool to parse.
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).parent.parent.parent
RULES = yaml.safe_load((ROOT / "helm/roomcast/rules/roomcast.yaml").read_text())
TESTS = (ROOT / "tests/operations/rules.test.yaml").read_text()
DASHBOARD = json.loads((ROOT / "helm/roomcast/dashboards/roomcast.json").read_text())
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()
PAGES = [ROOT / "docs/operations.md", ROOT / "docs/runbooks.md", *sorted((ROOT / "docs/operations").glob("*.md"))]
# What Prometheus, cAdvisor and scraping themselves add.
LABELS_OF_TARGETS = {"job", "namespace", "instance", "pod", "container", "service", "le"}


def metrics():
    """The metrics of docs/metrics.md, each with its kind and labels."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if line.startswith("| `roomcast_"):
            name, kind, _, labels, _ = (cell.strip() for cell in line.strip("|").split(" | ", 4))
            found[name.strip("` ")] = (kind, set(re.findall(r"`(\w+)`:", labels)))
    return found


METRICS = metrics()
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


def check_query(where, query):
    for name in re.findall(r"(?<![\w:])roomcast_\w+", query):
        metric = name if name in METRICS else re.sub(r"_(bucket|sum|count)$", "", name)
        assert metric in METRICS, f"{where}: there is no metric {name}"
        is_part = metric != name
        assert is_part == (METRICS[metric][0] == "histogram"), f"{where}: {name} is a {METRICS[metric][0]}"
        for selector in re.findall(re.escape(name) + r"\{([^}]*)\}", query):
            unknown = set(re.findall(r"(\w+)\s*[=!]", selector)) - METRICS[metric][1] - LABELS_OF_TARGETS
            assert not unknown, f"{where}: {name} has no labels {unknown}"
    for name in re.findall(r"job:roomcast\w*:\w+", query):
        assert name in RECORDED, f"{where}: nothing records {name}"


def slug(heading):
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def check_alerts():
    anchors = [slug(heading) for heading in re.findall(r"^#+ (.*)$", RUNBOOKS, re.MULTILINE)]
    for alert in ALERTS:
        name = alert["alert"]
        check_query(name, alert["expr"])
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), name
        assert {"summary", "description", "runbook_url"} == set(alert["annotations"]), name
        page, anchor = alert["annotations"]["runbook_url"].split("#")
        assert page.endswith("/docs/runbooks.md") and anchor == name.lower(), f"{name}: {anchor}"
        assert anchors.count(anchor) == 1, f"docs/runbooks.md has {anchors.count(anchor)} sections for {name}"
        assert f'alertname="{name}", severity="{alert["labels"]["severity"]}"' in TESTS, f"no test fires {name}"
        text = RUNBOOKS.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in text, f"docs/runbooks.md: {name} lacks {part}"
    headed = set(re.findall(r"^## (Roomcast\w+)$", RUNBOOKS, re.MULTILINE))
    assert headed == {alert["alert"] for alert in ALERTS}, f"docs/runbooks.md is for other alerts: {headed ^ {a['alert'] for a in ALERTS}}"


def queries():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel, target["expr"]


def check_dashboard():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, f"{panel['title']} does not fit where it is"
        taken |= cells
        if panel["type"] not in ("row", "alertlist"):
            assert panel["targets"] and panel["description"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references), panel["title"]
    for panel, query in queries():
        check_query(panel["title"], query)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval"}
    assert used == variables, f"variables: {used ^ variables}"


def check_pages():
    """Metrics that the pages for operators name must exist."""
    for page in PAGES:
        for name in re.findall(r"`(roomcast_\w+)", page.read_text()):
            known = name in METRICS or re.sub(r"_(bucket|sum|count)$", "", name) in METRICS
            assert known, f"{page.relative_to(ROOT)}: there is no metric {name}"


def check_links():
    """Links of the documents for operators lead somewhere, to the very section."""
    for page in [*PAGES, ROOT / "helm/roomcast/README.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if re.match(r"https?:", target):
                continue
            path, _, anchor = target.partition("#")
            to = (page.parent / path).resolve() if path else page
            assert to.exists(), f"{page.relative_to(ROOT)}: {target} leads nowhere"
            if anchor and to.suffix == ".md":
                anchors = [slug(heading) for heading in re.findall(r"^#+ (.*)$", to.read_text(), re.MULTILINE)]
                assert anchor in anchors, f"{page.relative_to(ROOT)}: {target} names no section"


def check_values():
    """Every value of the chart has a comment right above it; of a group the group itself or each of its values."""
    lines = (ROOT / "helm/roomcast/values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        # Quantities and the sidecar's label are explained by the group that they stand in.
        if re.match(r"^ *(?!cpu|memory|grafana_dashboard)\w+: +\S", line):
            above = lines[number - 1].strip()
            assert above.startswith("#"), f"values.yaml:{number + 1}: {line.strip()} has no comment"


def write_queries(path):
    rules = [{"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$node", ".*")}
             for number, (_, query) in enumerate(queries())]
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))


def main():
    for rule in (rule for group in RULES["groups"] for rule in group["rules"] if "record" in rule):
        check_query(rule["record"], rule["expr"])
    check_alerts()
    check_dashboard()
    check_pages()
    check_links()
    check_values()
    write_queries(pathlib.Path(sys.argv[1]))
    print(f"{len(ALERTS)} alerts have runbooks and tests; {len(list(queries()))} queries of the dashboard name metrics that there are")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"check_operations: {error}")
