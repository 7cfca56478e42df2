"""Reading media objects and the flows that refer to them."""

from schemas.domain.errors import ObjectNotFound
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.media_object import MediaObject, Role
from schemas.domain.query import Listing, Page, TagFilter, page_of
from tasks.ports import Ports


def get(
    ports: Ports, object_id: ObjectId, listing: Listing, flow_tags: TagFilter
) -> tuple[MediaObject, MediaObject | None, Page[FlowId]]:
    """An object, its init object if it needs one, and a page of the flows that refer to it.

    Raises:
        ObjectNotFound: when there is no such object, or it is only allocated.
    """
    with ports.metadata.read() as snapshot:
        found = snapshot.objects([object_id]).get(object_id)
        if found is None or found.role is Role.ALLOCATED:
            raise ObjectNotFound(f"object {object_id} does not exist")
        init = None
        if found.init_object_id is not None:
            init = snapshot.objects([found.init_object_id]).get(found.init_object_id)
        users = snapshot.flows_using(object_id)
        if flow_tags:
            flows = snapshot.flows(users)
            users = [flow_id for flow_id in users if flow_tags(flows[flow_id].tags)]
    return found, init, page_of(users, lambda flow_id: (0, flow_id, ""), listing)
