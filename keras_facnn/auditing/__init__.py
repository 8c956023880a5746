"""Audit a whole data set: where evidence lies, and for which reasons."""

from keras_facnn.auditing._audit import audit
from keras_facnn.auditing._audit_rows import audit_rows
from keras_facnn.auditing.result import Audit

__all__ = ["Audit", "audit", "audit_rows"]
