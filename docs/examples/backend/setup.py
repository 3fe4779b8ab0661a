from setuptools import setup

setup(
    name="fedbadges-attendance",
    version="1.0",
    py_modules=["fedbadges_attendance"],
    install_requires=["fedbadges >= 1.1"],
    entry_points={"fedbadges.criteria": ["attended = fedbadges_attendance:Attendance"]},
)
