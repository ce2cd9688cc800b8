"""The form of the texts that ``--help`` prints."""

from __future__ import annotations

from argparse import Action

from jsonargparse import DefaultHelpFormatter


class HelpFormatter(DefaultHelpFormatter):
    """Leaves out types and defaults that explain nothing to a user.

    A type that is a choice is in the usage line already, as ``{tif,png}``. A default of ``null`` means that the program
    chooses; the help text then states the rule.
    """

    def _get_help_string(self, action: Action) -> str:  # argparse has no public hook for this
        text = super()._get_help_string(action)
        if action.default in (None, "", {}):
            text = without(text, "default: %(default)s")
        hint = self._get_type_str(action) or ""
        if hint.startswith(("Literal", "<class", "typing.")):
            text = without(text, "type: %(type)s")
        return text.replace(") (", ", ")  # one list in parentheses, where the text ends with its own


def without(text: str, note: str) -> str:
    """Removes a note from the list in parentheses at the end of a help text."""
    return text.replace(f", {note}", "").replace(f"{note}, ", "").replace(f" ({note})", "")
