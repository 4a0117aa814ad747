-- A raw matter may have a row for each version that its source sends (key in sources.yml); of a source that sends the newest only, the
-- replaced rows stand in the history. Here each version holds from a day to a day.
with known as (
    select *, 2147483647 as known_to from {{ source('raw', 'matter') }}
    union all by name
    select h.* exclude (_known_to_seq), h._known_to_seq as known_to
    from {{ source('raw', 'matter_history') }} as h
    where not h._is_deleted
        and (h.source, h.matter_code) in (select source, matter_code from {{ ref('stg_matter') }})
), placed as (
    select *,
        -- what was known later corrects or withdraws what begins on the same day or after it, and what has the same number
        min(coalesce(effective_from, {{ first_day() }})) over (
            partition by source, matter_code order by known_to desc, effective_from desc nulls last
            rows between unbounded preceding and 1 preceding
        ) as later_known_from,
        row_number() over (partition by source, matter_code, version order by known_to desc, effective_from desc nulls last) as repeated
    from known
), version as (
    select * exclude (known_to, later_known_from, repeated)
    from placed
    where not _is_deleted
        and (
            known_to = 2147483647
            or (
                coalesce(coalesce(effective_from, {{ first_day() }}) < later_known_from, true)
                and (version is null or repeated = 1)
            )
        )
), begun as (
    select *,
        -- one that ends before it begins was called off; it counts only where the matter has no other
        max(case when effective_to <= effective_from then 0 else 1 end) over (partition by source, matter_code) as has_sensible,
        case when effective_to <= effective_from then 0 else 1 end as is_sensible
    from version
), ranked as (
    select * exclude (has_sensible, is_sensible),
        -- of versions that begin on the same day the later one holds
        row_number() over (
            partition by source, matter_code, effective_from
            order by {{ version_numbers('version') }} desc nulls last, updated_at desc nulls last, version desc nulls last,
                _file_id desc nulls last, _file_row desc nulls last
        ) as place
    from begun
    where is_sensible = has_sensible
), losing as (
    select source, matter_code, effective_from,
        {{ dbt.listagg("coalesce(version, '?')", "','", "order by version") }} as superseded_versions
    from ranked
    where place > 1
    group by source, matter_code, effective_from
), following as (
    select *,
        row_number() over (partition by source, matter_code order by effective_from nulls first) as number,
        lead(effective_from) over (partition by source, matter_code order by effective_from nulls first) as next_from
    from ranked
    where place = 1
)

select
    f.* exclude (place, number, next_from),
    -- in force: until its own last day, or until the next version
    f.effective_from as valid_from,
    case when least(f.effective_to, f.next_from) < f.effective_from then f.effective_from else least(f.effective_to, f.next_from) end as valid_to,
    -- whose limits and names hold: also in a gap (the last version before it) and before all versions (the first)
    case when f.number = 1 then {{ first_day() }} else f.effective_from end as applies_from,
    case when f.next_from is null then {{ last_day() }} else cast({{ dbt.dateadd('day', -1, 'f.next_from') }} as date) end as applies_until,
    l.superseded_versions
from following as f
left join losing as l
    on f.source = l.source and f.matter_code = l.matter_code and f.effective_from is not distinct from l.effective_from
