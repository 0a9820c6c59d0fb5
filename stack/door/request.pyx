"""Whole requests for orders in one piece of bytes, for Python: what they ask for, and what is answered."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from stack.door.head cimport BATCH, OTHER_ROUTE, WHOLE, Head, read_head


def read_request(bytes data):
    """(whether it is a batch, its Authorization or None, body) of one POST /orders or /orders/batch; None of all else."""
    cdef Head head
    cdef const char* p = PyBytes_AS_STRING(data)
    cdef size_t length = PyBytes_GET_SIZE(data)
    if read_head(p, length, &head) != WHOLE or head.route == OTHER_ROUTE or head.close:
        return None
    if head.length + head.body != length:
        return None
    authorization = None
    if head.authorization != NULL:
        authorization = PyBytes_FromStringAndSize(head.authorization, head.authorization_length)
    return head.route == BATCH, authorization, PyBytes_FromStringAndSize(p + head.length, head.body)


def json_answer(bytes status_line, bytes body):
    return b"%b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status_line, len(body), body)
