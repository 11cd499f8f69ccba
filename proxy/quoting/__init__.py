"""What a call or a workflow would cost: asked before, without sending or setting anything aside.

    workflow --> nodes.py: which calls its nodes make --> requests.py --> estimates.py --> views.py

It is the same rule, under the same version of the price book, that sets money aside when the call
is made: so a quote cannot differ from it.
"""
