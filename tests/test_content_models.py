from recbench_classic.contents import Attributes, Tfidf

from recbench.testing import checks


@checks(Tfidf)
def test_tfidf_contract(check):
    check()


@checks(Attributes)
def test_attributes_contract(check):
    check()
