"""The question at the end of a lesson: compare the reader's answer with the right one, and reply."""

import math
from collections.abc import Mapping

from showtell.notebook import in_notebook

Answer = str | float
_UNANSWERED = (
    "Write your answer instead of None, and run this cell again.\n"
    "None 대신 답을 쓰고 이 셀을 다시 실행하세요."
)
_AGAIN = "Read the last part once more. 마지막 부분을 다시 읽어 보세요."


def check(
    answer: Answer | None,
    right: Answer,
    *,
    why: str,
    hints: Mapping[Answer, str] | None = None,
    within: float = 0.0,
) -> str:
    """Reply to the reader's answer.

    Args:
        answer: The reader's; None where there is none yet. A script that is run without one is told the right
            one.
        right: The right answer, a word or a number.
        why: Said of the right answer.
        hints: Said of certain wrong ones.
        within: How far a number may be off.

    Returns:
        The reply: right, not yet with a hint, or how to answer.
    """
    if answer is None and in_notebook():
        return _UNANSWERED
    if answer is None:
        return f"The answer is {right}. {why}"
    if _equal(answer, right, within):
        return f"Right, {right}! 맞았습니다!\n{why}"
    hint = next((text for wrong, text in (hints or {}).items() if _equal(answer, wrong, within)), "")
    return f"Not yet: {answer}. 아직 아닙니다. {hint or _AGAIN}"


def _equal(given: Answer, right: Answer, within: float) -> bool:
    if isinstance(right, str) or isinstance(given, str):
        return str(given).strip().casefold() == str(right).casefold()
    return math.isclose(given, right, rel_tol=0.0, abs_tol=within)
