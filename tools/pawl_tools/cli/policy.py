"""`pawl policy`: the install policy as every device decides by it, printed from the table itself."""

from pawl_tools.cli import api, files


def policy(*, json: files.Json = False) -> None:
    """Print the install policy: the first row that applies decides."""
    from pawl import policy as install_policy
    from pawl.names import reason_name

    rows: list[dict[str, object]] = []
    for row in install_policy.ROWS:
        reasons = [reason_name(code) for code in row.reasons]
        rows.append({"row": row.number, "input": row.says, "decision": row.decision, "reasons": reasons})
    if json:
        api.print_json(rows)
        return
    api.print_table(
        ("ROW", "INPUT", "DECISION", "REASONS"),
        [
            (str(row.number), row.says, row.decision, ", ".join(map(reason_name, row.reasons)))
            for row in install_policy.ROWS
        ],
    )
