"""Where other programs call hermetic: the plugin of pytest.

`pytest_plugin` has the options and starts a `pytest_running.Running`, which has the hooks of a run.
"""
