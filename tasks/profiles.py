"""Creating and reading profiles, which never change."""

from collections.abc import Mapping
from typing import Any

from schemas.domain import profile as profile_rules
from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid, ProfileNotFound
from schemas.domain.identifiers import ProfileId
from schemas.domain.profile import Profile
from schemas.domain.query import Page, ProfileQuery, page_of, position
from tasks.ports import Ports, Snapshot


def create(ports: Ports, profile_id: ProfileId, document: Mapping[str, Any], *, by: str) -> Profile:
    """Create a profile.

    Raises:
        Invalid: when it exists already, or the document names another.
    """
    profile = profile_rules.create(profile_id, document, by=by, now=ports.clock.now())

    def decide(snapshot: Snapshot) -> tuple[Changes, Profile]:
        known = snapshot.profiles([profile_id]).get(profile_id)
        if known == profile:  # an earlier attempt did commit
            return Changes(), profile
        if known is not None:
            raise Invalid(f"profile {profile_id} exists already, and cannot change", field="id")
        return Changes(add=(profile,), claim=frozenset({f"profile/{profile_id}"})), profile

    return ports.metadata.transact(decide)


def get(ports: Ports, profile_id: ProfileId) -> Profile:
    """A profile.

    Raises:
        ProfileNotFound: when there is no such profile.
    """
    with ports.metadata.read() as snapshot:
        profile = snapshot.profiles([profile_id]).get(profile_id)
    if profile is None:
        raise ProfileNotFound(f"profile {profile_id} does not exist")
    return profile


def listing(ports: Ports, query: ProfileQuery) -> Page[Profile]:
    """The profiles a query asks for, the latest first."""
    with ports.metadata.read() as snapshot:
        found = snapshot.all_profiles()
    wanted = [profile for profile in found if _matches(profile, query)]
    return page_of(wanted, lambda each: position(each.created, each.id), query.listing)


def _matches(profile: Profile, query: ProfileQuery) -> bool:
    technical = profile.technical
    return (
        query.label in {None, profile.label}
        and query.format in {None, technical["format"]}
        and query.codec in {None, technical["codec"]}
    )
