from recbench_classic.blend import Blend
from recbench_classic.rerank import Rerank
from recbench_classic.switch import Switch

from recbench.testing import checks


@checks(Blend)
def test_blend_contract(check):
    check()


@checks(Rerank)
def test_rerank_contract(check):
    check()


@checks(Switch)
def test_switch_contract(check):
    check()
