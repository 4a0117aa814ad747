{#- Partitions (day × department) of mart_department_day that this run writes anew. Runs before the mart, which it reads.
    They are found by comparing figures, not by following records: whatever moved a figure, nothing is missed, and a
    record that changed without moving one rewrites nothing. -#}
{%- set mart = api.Relation.create(database='masked', schema='marts', identifier='mart_department_day') -%}
{%- set built = execute and adapter.get_relation('masked', 'marts', 'mart_department_day') -%}
with wanted as (
    select d.day as date, p.department_code
    from {{ source('raw', 'calendar') }} as d
    cross join (select department_code from {{ ref('dim_department') }}) as p
    where d.day between {{ mart_first_day() }} and {{ day_of(as_of()) }}
)
{%- if not built or flags.FULL_REFRESH %}

select date, department_code, true as is_wanted from wanted
-- depends_on: {{ ref('int_measure_counts') }}, {{ ref('measures') }}
{%- else %}
, counted as (
    select day as date, department_code,
        sum({{ hash_of(['measure_code', 'coalesce(cast(numerator as double), 0)', 'coalesce(cast(denominator as double), 0)']) }}) as content
    from {{ ref('int_measure_counts') }}
    where coalesce(numerator, 0) <> 0 or coalesce(denominator, 0) <> 0
    group by day, department_code
), stored as (
    select date, department_code, count(*) as measures,
        sum({{ hash_of(['measure_code', 'numerator', 'denominator']) }}) filter (where numerator <> 0 or denominator <> 0) as content
    from {{ mart }}
    group by date, department_code
)

select coalesce(w.date, s.date) as date, coalesce(w.department_code, s.department_code) as department_code, w.date is not null as is_wanted
from (
    select wanted.date, wanted.department_code, counted.content
    from wanted
    left join counted on wanted.date = counted.date and wanted.department_code = counted.department_code
) as w
full join stored as s on w.date = s.date and w.department_code = s.department_code
where w.date is null or s.date is null or w.content is distinct from s.content or s.measures <> (select count(*) from {{ ref('measures') }})
{%- endif %}
