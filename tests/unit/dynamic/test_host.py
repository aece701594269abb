"""What is read from the frames of the SDK's host, and what happens where it has another shape."""

from inference_provider.dynamic import host


class OtherHost:
    """Handles a call as the SDK's servicer does; its Cancel is another."""

    def Cancel(self, *_told):
        return "its own"

    def Update(self, request, context):
        host.forward_cancel()
        return host.servicer_frame().f_locals["request"]


def test_outside_of_a_call_nothing_is_found_and_nothing_changed():
    host.forward_cancel()
    assert host.servicer_frame() is None
    assert host.show_errors_as_sentences() is False


def test_a_host_of_another_shape_keeps_its_own_cancel():
    other = OtherHost()
    assert other.Update("asked", None) == "asked"
    assert other.Cancel() == "its own"
