"""For all tests: what Hypothesis finds does not depend on how busy the machine is; with CI=true not on chance either.

Whoever works on the code explores further each time; a change is judged by the same examples as the one before it.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("CI", settings.get_profile("any machine"), derandomize=True)
settings.load_profile("CI" if os.environ.get("CI") == "true" else "any machine")
