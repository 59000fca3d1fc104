# SPDX-License-Identifier: Apache-2.0
"""What the tests share: finding interpreters, running programs until they leave a core, reading reports."""
