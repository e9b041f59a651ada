"""A variation of an installed data set: the same five tables, of whatever content, under a name of its own."""

from dataclasses import replace

from recbench_ecommerce.complete_journey import CompleteJourney

from recbench.fetch import SourceFile


class AcmeJourney(CompleteJourney):
    """Grocery purchases in the tables of The Complete Journey."""

    info = replace(CompleteJourney.info, name="acme-journey")
    files = tuple(SourceFile(file.name) for file in CompleteJourney.files)
    boards = tuple(replace(board, name=f"acme-{board.name}", data="acme-journey") for board in CompleteJourney.boards)
